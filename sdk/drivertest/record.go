package drivertest

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/logplug/logplug/shared/logdriver"
)

// record is a message in the kit's own memory: one to log, where line has no
// terminator, or one that was read back.
type record struct {
	line         string
	source       string
	at           time.Time
	attrs        []logdriver.Attr
	partial      logdriver.Partial
	unterminated bool
	err          error // of a message that was read back
}

const (
	stdout = "stdout"
	stderr = "stderr"
)

// epoch is the time of the first of numbered's records: some time ago, so that
// neither a clock's steps nor "now" play a part.
func epoch() time.Time { return time.Now().Add(-time.Hour).Truncate(time.Second).UTC() }

// numbered returns n records that tell their index and are one second apart.
func numbered(n int) []record { return numberedFrom(epoch(), 0, n) }

// numberedFrom is numbered for the indices from first to before end.
func numberedFrom(start time.Time, first, end int) []record {
	records := make([]record, 0, end-first)
	for i := first; i < end; i++ {
		records = append(records, record{
			line: fmt.Sprintf("message %06d", i), source: stdout, at: start.Add(time.Duration(i) * time.Second),
		})
	}
	return records
}

// text is what the record's line must read back as.
func (r *record) text() string {
	if r.partial.More() || r.unterminated {
		return r.line
	}
	return r.line + "\n"
}

func (r *record) message() *logdriver.Message {
	m := logdriver.NewMessage()
	m.Line = append(m.Line, r.line...)
	m.Source, m.Timestamp, m.Partial, m.Unterminated = r.source, r.at, r.partial, r.unterminated
	m.Attrs = append(m.Attrs, r.attrs...)
	return m
}

// recordOf takes m over.
func recordOf(m *logdriver.Message) record {
	r := record{
		line: string(m.Line), source: strings.Clone(m.Source), at: m.Timestamp, attrs: append([]logdriver.Attr(nil), m.Attrs...),
		partial: m.Partial, unterminated: m.Unterminated, err: m.Err,
	}
	logdriver.PutMessage(m)
	return r
}

// logAll logs records, in order.
func logAll(l logdriver.Logger, records []record) error {
	for i := range records {
		m := records[i].message()
		if err := l.Log(m); err != nil {
			logdriver.PutMessage(m)
			return fmt.Errorf("log message %d of %d: %w", i+1, len(records), err)
		}
	}
	return nil
}

// sameLines compares the lines of what was read to those of what was logged.
func sameLines(got, want []record) error {
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(want):
			return fmt.Errorf("read %d messages, want %d: the first that is too much is %s", len(got), len(want), shown(got[i].line))
		case i >= len(got):
			return fmt.Errorf("read %d messages, want %d: the first that is missing is %s", len(got), len(want), shown(want[i].text()))
		case got[i].err != nil:
			return fmt.Errorf("message %d of %d reports damage: %w", i+1, len(want), got[i].err)
		case got[i].line != want[i].text():
			return fmt.Errorf("message %d (of %d read, want %d) is %s, want %s", i+1, len(got), len(want), shown(got[i].line), shown(want[i].text()))
		}
	}
	return nil
}

// bySource returns the records of each source.
func bySource(records []record) map[string][]record {
	m := make(map[string][]record)
	for _, r := range records {
		m[r.source] = append(m[r.source], r)
	}
	return m
}

// joined returns all lines of a source, one after the other: what a user sees.
func joined(records []record, source string) []byte {
	var b bytes.Buffer
	for i := range records {
		if records[i].source == source {
			b.WriteString(records[i].line)
		}
	}
	return b.Bytes()
}

// sameBytes compares two texts and shows where they differ.
func sameBytes(got, want []byte) error {
	if bytes.Equal(got, want) {
		return nil
	}
	i := 0
	for i < len(got) && i < len(want) && got[i] == want[i] {
		i++
	}
	from := max(0, i-8)
	return fmt.Errorf("read %d bytes, want %d; from byte %d on they are %s, want %s",
		len(got), len(want), from, shown(string(got[from:])), shown(string(want[from:])))
}

// shownBytes is how much of a line an error shows.
const shownBytes = 64

func shown(s string) string {
	if len(s) <= shownBytes {
		return fmt.Sprintf("%q", s)
	}
	return fmt.Sprintf("%q... (%d bytes)", s[:shownBytes], len(s))
}
