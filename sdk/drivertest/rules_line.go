package drivertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/logplug/logplug/shared/logdriver"
)

func lineRules() []Rule {
	return []Rule{
		{
			ID: "line/bytes", Needs: NeedReads, EachSet: true,
			Text:  "All bytes of a line come back as they were logged: NUL, CR, escape sequences, quotes, invalid UTF-8, anything.",
			check: checkLines(byteLines),
		},
		{
			ID: "line/empty", Needs: NeedReads,
			Text:  "Empty lines are messages: each comes back as a line terminator.",
			check: checkLines(func() []record { return lines("", "before", "", "", "after", "") }),
		},
		{
			ID: "line/terminator", Needs: NeedReads, EachSet: true,
			Text:  `A line comes back with "\n", unless it is a part that is not the last of its line.`,
			check: checkTerminator,
		},
		{
			ID: "line/partial", Needs: NeedReads, EachSet: true,
			Text:  "The parts of a long line come back in order, also with another source's lines in between: together they are the line, and metadata that comes with them is what was logged.",
			check: checkPartials,
		},
		{
			ID: "line/largest", Needs: NeedReads,
			Text:  fmt.Sprintf("A line of %d bytes comes back whole, in one piece or in parts, and so does a line of 4 KiB.", logdriver.MaxLineBytes),
			check: checkLargest,
		},
		{
			ID: "line/unterminated", Needs: NeedReads,
			Text:  "What a source wrote last without a line terminator comes back without one.",
			check: checkUnterminated,
		},
		{
			ID: "line/source", Needs: NeedReads,
			Text:  "A message comes back with the source that it was logged with.",
			check: checkSource,
		},
		{
			ID: "line/attributes", Needs: NeedReads,
			Text:  "A message comes back with the attributes that it was logged with; the driver may add others.",
			check: checkAttributes,
		},
		{
			ID: "line/time", Needs: NeedReads, EachSet: true,
			Text:  "A message comes back with the time that it was logged with, to the millisecond, be it long ago, in the future, or the same as another's.",
			check: checkTimes,
		},
		{
			ID: "line/order", Needs: NeedReads, EachSet: true,
			Text:  "Messages come back in the order in which they were logged, also when their times go backwards.",
			check: checkLines(backwards),
		},
	}
}

// lines returns records of the given lines.
func lines(texts ...string) []record {
	records := make([]record, 0, len(texts))
	for i, text := range texts {
		records = append(records, record{line: text, source: stdout, at: epoch().Add(time.Duration(i) * time.Second)})
	}
	return records
}

// checkLines checks that records read back both ways with the same lines.
func checkLines(records func() []record) func(context.Context, *env) error {
	return func(ctx context.Context, e *env) error {
		want := records()
		return e.bothWays(ctx, want, func(from source) error {
			return e.expect(ctx, from, logdriver.ReadConfig{Tail: -1}, want)
		})
	}
}

func byteLines() []record {
	var all []byte
	for b := range 256 {
		if b != '\n' {
			all = append(all, byte(b))
		}
	}
	texts := []string{
		string(all), "\x00", "nul \x00 inside", "\r", "carriage return\r", "progress 10%\rprogress 20%\r",
		"\x1b[31mred\x1b[0m", "\xff\xfe\xfd", "cut \xe2\x82", "surrogate \xed\xa0\x80", "overlong \xc0\x80",
		`"quoted" \ back\\slash \n \u0000`, "\u2028\u2029\ufeff\ufffd", "tab\tbell\abackspace\b", " leading and trailing ",
		`{"log":"like a record\n","stream":"stdout"}`, "<script>&amp;</script>", "😀 é 漢字",
	}
	rng := rand.New(rand.NewPCG(1, 2)) // the same bytes each time
	for range 20 {
		b := make([]byte, 1+rng.IntN(512))
		for i := range b {
			b[i] = byte(rng.IntN(256))
		}
		texts = append(texts, strings.ReplaceAll(string(b), "\n", "\x01"))
	}
	return lines(texts...)
}

func backwards() []record {
	records := numbered(20)
	for i := range records {
		records[i].at = records[0].at.Add(time.Duration(-7*i%20) * time.Second)
	}
	return records
}

// parts returns a line in n parts with the given ID.
func parts(id, source string, n int) []record {
	records := make([]record, n)
	for i := range records {
		records[i] = record{
			line: fmt.Sprintf("[part %d of %s]", i+1, id), source: source, at: epoch(),
			partial: logdriver.Partial{ID: id, Ordinal: i + 1, Last: i == n-1},
		}
	}
	return records
}

func checkTerminator(ctx context.Context, e *env) error {
	want := append(lines("whole"), parts("a", stdout, 3)...)
	want = append(want, lines("whole again")...)
	return e.bothWays(ctx, want, func(from source) error {
		got, err := e.readAll(ctx, from, logdriver.ReadConfig{Tail: -1})
		if err != nil {
			return err
		}
		for i := range got {
			r := &got[i]
			ends := strings.HasSuffix(r.line, "\n")
			if r.partial.IsPartial() && ends == r.partial.More() {
				return fmt.Errorf("message %d, %s, is a part with last=%t", i+1, shown(r.line), r.partial.Last)
			}
			if strings.Contains(strings.TrimSuffix(r.line, "\n"), "\n") {
				return fmt.Errorf("message %d, %s, has a terminator inside", i+1, shown(r.line))
			}
		}
		return sameBytes(joined(got, stdout), joinedText(want, stdout))
	})
}

// joinedText is what joined must return for what was logged.
func joinedText(records []record, source string) []byte {
	var b bytes.Buffer
	for i := range records {
		if records[i].source == source {
			b.WriteString(records[i].text())
		}
	}
	return b.Bytes()
}

func checkPartials(ctx context.Context, e *env) error {
	a, b := parts("line-a", stdout, 4), parts("line-b", stderr, 3)
	want := []record{a[0], b[0], a[1], {line: "between", source: "other", at: epoch()}, a[2], b[1], b[2], a[3]}
	want = append(want, parts("line-c", stdout, 2)...)
	return e.bothWays(ctx, want, func(from source) error {
		got, err := e.readAll(ctx, from, logdriver.ReadConfig{Tail: -1})
		if err != nil {
			return err
		}
		for _, s := range []string{stdout, stderr, "other"} {
			if err := sameBytes(joined(got, s), joinedText(want, s)); err != nil {
				return fmt.Errorf("source %s: %w", s, err)
			}
		}
		if len(got) != len(want) {
			return nil // the driver stores whole lines
		}
		return samePartials(got, want)
	})
}

// samePartials compares metadata where there is some.
func samePartials(got, want []record) error {
	for i := range got {
		g, w := got[i].partial, want[i].partial
		if !g.IsPartial() {
			continue
		}
		if g.Last != w.Last || g.Ordinal != w.Ordinal || !w.IsPartial() {
			return fmt.Errorf("message %d, %s, is part %d (last=%t), was logged as part %d (last=%t)",
				i+1, shown(got[i].line), g.Ordinal, g.Last, w.Ordinal, w.Last)
		}
		for j := range i {
			other := got[j].partial
			if other.IsPartial() && (other.ID == g.ID) != (want[j].partial.ID == w.ID) {
				return fmt.Errorf("messages %d and %d have the IDs %q and %q, were logged with %q and %q",
					j+1, i+1, other.ID, g.ID, want[j].partial.ID, w.ID)
			}
		}
	}
	return nil
}

func checkLargest(ctx context.Context, e *env) error {
	pattern := []byte("0123456789abcdef")
	var want []record
	for i, size := range []int{4 << 10, logdriver.MaxLineBytes, logdriver.DefaultBufSize, logdriver.MaxLineBytes} {
		want = append(want, record{
			line: string(bytes.Repeat(append(pattern, byte('A'+i)), size/17+1)[:size]), source: stdout, at: epoch(),
		})
	}
	return e.bothWays(ctx, want, func(from source) error {
		got, err := e.readAll(ctx, from, logdriver.ReadConfig{Tail: -1})
		if err != nil {
			return err
		}
		return sameBytes(joined(got, stdout), joinedText(want, stdout))
	})
}

func checkUnterminated(ctx context.Context, e *env) error {
	want := lines("a line", "no newline at the end")
	want[1].unterminated = true
	last := parts("b", stderr, 2)
	last[1].unterminated = true
	want = append(want, last...)
	return e.bothWays(ctx, want, func(from source) error {
		got, err := e.readAll(ctx, from, logdriver.ReadConfig{Tail: -1})
		if err != nil {
			return err
		}
		return errors.Join(
			sameBytes(joined(got, stdout), joinedText(want, stdout)),
			sameBytes(joined(got, stderr), joinedText(want, stderr)))
	})
}

func checkSource(ctx context.Context, e *env) error {
	want := lines("a", "b", "c", "d")
	for i, s := range []string{stdout, stderr, "audit log", strings.Repeat("s", logdriver.MaxSourceBytes)} {
		want[i].source = s
	}
	return e.bothWays(ctx, want, func(from source) error {
		got, err := e.readAll(ctx, from, logdriver.ReadConfig{Tail: -1})
		if err != nil {
			return err
		}
		if err := sameLines(got, want); err != nil {
			return err
		}
		for i := range got {
			if got[i].source != want[i].source {
				return fmt.Errorf("message %d has the source %q, was logged with %q", i+1, got[i].source, want[i].source)
			}
		}
		return nil
	})
}

func checkAttributes(ctx context.Context, e *env) error {
	want := lines("without", "with two", "with many")
	want[1].attrs = []logdriver.Attr{{Key: "level", Value: "warn"}, {Key: "empty", Value: ""}, {Key: "ключ \"quoted\"", Value: "zwei\nZeilen \\ \x00"}}
	for i := range 50 {
		want[2].attrs = append(want[2].attrs, logdriver.Attr{Key: fmt.Sprintf("key-%02d", i), Value: strings.Repeat("v", i*10)})
	}
	return e.bothWays(ctx, want, func(from source) error {
		got, err := e.readAll(ctx, from, logdriver.ReadConfig{Tail: -1})
		if err != nil {
			return err
		}
		if err := sameLines(got, want); err != nil {
			return err
		}
		for i := range got {
			if err := hasAttributes(&got[i], &want[i]); err != nil {
				return fmt.Errorf("message %d: %w", i+1, err)
			}
		}
		return nil
	})
}

func hasAttributes(got, want *record) error {
	have := map[string]string{}
	for _, a := range got.attrs {
		have[a.Key] = a.Value
	}
	for _, a := range want.attrs {
		if v, ok := have[a.Key]; !ok || v != a.Value {
			return fmt.Errorf("attribute %q is %s (present: %t), was logged with %s", a.Key, shown(v), ok, shown(a.Value))
		}
	}
	return nil
}

func checkTimes(ctx context.Context, e *env) error {
	now := time.Now()
	want := lines("a", "b", "c", "d", "e", "f", "g")
	for i, at := range []time.Time{
		now, time.Date(1999, 12, 31, 23, 59, 59, 999_999_999, time.UTC), now.AddDate(10, 0, 0), now, now,
		time.Unix(1, 0), time.Date(2024, 2, 29, 12, 0, 0, 1_000_000, time.FixedZone("", 5*3600+1800)),
	} {
		want[i].at = at
	}
	return e.bothWays(ctx, want, func(from source) error {
		got, err := e.readAll(ctx, from, logdriver.ReadConfig{Tail: -1})
		if err != nil {
			return err
		}
		if err := sameLines(got, want); err != nil {
			return err
		}
		for i := range got {
			if d := got[i].at.Sub(want[i].at).Abs(); d >= time.Millisecond {
				return fmt.Errorf("message %d has the time %s, was logged with %s", i+1,
					got[i].at.Format(logdriver.TimeFormat), want[i].at.UTC().Format(logdriver.TimeFormat))
			}
		}
		return nil
	})
}
