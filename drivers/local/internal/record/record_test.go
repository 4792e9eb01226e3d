package record

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/logplug/logplug/sdk/logfile"
	"github.com/logplug/logplug/shared/logdriver"
)

var update = flag.Bool("update", false, "write the golden files anew")

var stamp = time.Date(2024, 2, 29, 23, 59, 58, 120_003_400, time.UTC)

var everything = func() []byte {
	var b []byte
	for i := range 256 {
		b = append(b, byte(i))
	}
	return b
}()

// samples has each kind of field.
func samples() []*logdriver.Message {
	attrs := []logdriver.Attr{{Key: "k", Value: "v"}, {Key: "", Value: ""}, {Key: "é", Value: strings.Repeat("x", 200)}}
	msgs := []*logdriver.Message{
		{Line: []byte("plain"), Source: "stdout"},
		{Line: []byte("other"), Source: "stderr"},
		{Line: everything, Source: "a source\n"},
		{},
		{Line: []byte("with attributes"), Attrs: attrs},
		{Line: []byte("the same"), Attrs: attrs},
		{Line: []byte("part\n"), Source: "stdout", Partial: logdriver.Partial{ID: "p", Ordinal: 1}},
		{Line: []byte("\xff"), Source: "stdout", Partial: logdriver.Partial{ID: "p", Ordinal: 300, Last: true}, Attrs: attrs[:1]},
		{Line: []byte("end"), Source: "stdout", Unterminated: true},
		{Line: bytes.Repeat([]byte{end}, 100)},
	}
	for i, m := range msgs {
		m.Timestamp = stamp.Add(time.Duration(i) * time.Second)
	}
	msgs[3].Timestamp = time.Unix(-1, 5).UTC()
	return msgs
}

var constants = []logdriver.Attr{{Key: "app", Value: "web"}, {Key: "tag", Value: "a\nb"}}

// readBack is m as a reader gets it.
func readBack(m *logdriver.Message, constants []logdriver.Attr) *logdriver.Message {
	r := *m
	r.Line = slices.Clone(m.Line)
	if !m.Partial.More() && !m.Unterminated {
		r.Line = append(r.Line, '\n')
	}
	r.Attrs = append(slices.Clone(constants), m.Attrs...)
	return &r
}

func diff(want, got any) string {
	return cmp.Diff(want, got, cmpopts.IgnoreUnexported(logdriver.Message{}), cmpopts.EquateEmpty())
}

// frames cuts b from its beginning.
func frames(b []byte) (all [][]byte) {
	for len(b) > 0 {
		n := Framing{}.Next(b)
		if n == 0 {
			n = len(b)
		}
		all = append(all, b[:n])
		b = b[n:]
	}
	return all
}

func TestRoundTrip(t *testing.T) {
	for _, attrs := range [][]logdriver.Attr{nil, constants, {{Key: "large", Value: strings.Repeat("y", 2*maxContext)}}} {
		f := New(attrs)
		enc, dec := f.NewEncoder(), f.NewDecoder()
		for i, m := range samples() {
			b := frames(enc.Append([]byte("before"), m)[6:])
			if want := len(attrs) > 0 && f.context != nil && i == 0; (len(b) == 2) != want || len(b) > 2 {
				t.Fatalf("%d frames", len(b))
			}
			got := logdriver.NewMessage()
			for _, frame := range b[:len(b)-1] {
				if err := dec.Decode(frame, got); err != logfile.ErrNoMessage { //nolint:errorlint // as documented
					t.Fatal(err)
				}
			}
			if err := dec.Decode(b[len(b)-1], got); err != nil {
				t.Fatal(err)
			}
			if d := diff(readBack(m, attrs), got); d != "" {
				t.Error(d)
			}
		}
	}
}

func TestTimesBeyondTheFormat(t *testing.T) {
	for _, when := range []time.Time{{}, time.Date(3000, 1, 1, 0, 0, 0, 0, time.UTC)} {
		m, got := &logdriver.Message{Timestamp: when}, logdriver.NewMessage()
		if err := New(nil).NewDecoder().Decode(New(nil).NewEncoder().Append(nil, m), got); err != nil {
			t.Fatal(err)
		}
		if y := got.Timestamp.Year(); y != 1677 && y != 2262 {
			t.Error(got.Timestamp)
		}
	}
}

// Contexts come often enough for a reader that starts anywhere, and cost little.
func TestContextSpacing(t *testing.T) {
	f := New(constants)
	enc := f.NewEncoder()
	var b []byte
	m := &logdriver.Message{Line: bytes.Repeat([]byte("x"), 1000)}
	for range 1000 {
		b = enc.Append(b, m)
	}
	contexts, last, off := 0, 0, 0
	for _, frame := range frames(b) {
		if bytes.Equal(frame, f.context) {
			contexts++
			last = off
		} else if int64(off-last) > f.ContextBytes() {
			t.Fatalf("the record at %d is too far from its context at %d", off, last)
		}
		off += len(frame)
	}
	if want := off/contextSpacing + 1; contexts > want || contexts < want-1 {
		t.Errorf("%d contexts", contexts)
	}
}

// A message whose context was lost, or is not its own, has none of its attributes.
func TestLostContext(t *testing.T) {
	mine, other := New(constants), New(constants[:1])
	m := samples()[4]
	b := frames(mine.NewEncoder().Append(nil, m))
	for _, preceding := range [][]byte{nil, other.context} {
		dec, got := mine.NewDecoder(), logdriver.NewMessage()
		_ = dec.Decode(preceding, got)
		if err := dec.Decode(b[1], got); err != nil {
			t.Fatal(err)
		}
		if d := diff(readBack(m, nil), got); d != "" {
			t.Error(d)
		}
	}
}

// Records of a kind to come are passed over.
func TestUnknownKind(t *testing.T) {
	b := seal([]byte{0, 0, 0, 0, 0, 0x81, 'x'}, 0)
	if err := New(nil).NewDecoder().Decode(b, logdriver.NewMessage()); err != logfile.ErrNoMessage { //nolint:errorlint // as documented
		t.Error(err)
	}
}

// testdata/golden.log holds the samples. It must be readable for ever.
func TestGolden(t *testing.T) {
	name := filepath.Join("testdata", "golden.log")
	enc := New(constants).NewEncoder()
	var b []byte
	for _, m := range samples() {
		b = enc.Append(b, m)
	}
	if *update {
		if err := os.WriteFile(name, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	golden, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(golden, b) {
		t.Error("the format has changed; it may be extended, but what is written must not differ")
	}
	got, damage := read(t, golden)
	if len(damage) > 0 || len(got) != len(samples()) {
		t.Fatalf("%d messages, %v", len(got), damage)
	}
	for i, m := range samples() {
		if d := diff(readBack(m, constants), got[i]); d != "" {
			t.Error(d)
		}
	}
}

// read reads a log file that holds b.
func read(t testing.TB, b []byte) (msgs []*logdriver.Message, damage []*logfile.DamageError) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.log")
	if err := os.WriteFile(path, b, 0o640); err != nil {
		t.Fatal(err)
	}
	return readFile(t, path, logdriver.ReadConfig{Tail: -1})
}

func readFile(t testing.TB, path string, cfg logdriver.ReadConfig) (msgs []*logdriver.Message, damage []*logfile.DamageError) {
	t.Helper()
	r, err := logfile.OpenReader(logfile.Config{Path: path, Format: New(nil), Numbered: true})
	if err != nil {
		t.Fatal(err)
	}
	for m, err := range r.ReadLogs(context.Background(), cfg).All() {
		var d *logfile.DamageError
		switch {
		case err != nil:
			t.Fatal(err)
		case errors.As(m.Err, &d):
			damage = append(damage, d)
		default:
			msgs = append(msgs, m)
		}
	}
	return msgs, damage
}

// small is a file of a few records, with the lines that are in it, and where each
// record ends.
func small() (b []byte, lines []string, ends []int) {
	enc := New(nil).NewEncoder()
	for _, s := range []string{"first", "", "line\nfeed", "\x1e\x10", "fifth", "last"} {
		b = enc.Append(b, &logdriver.Message{Line: []byte(s), Source: "stdout", Timestamp: stamp})
		lines, ends = append(lines, s+"\n"), append(ends, len(b))
	}
	return b, lines, ends
}

func linesOf(msgs []*logdriver.Message) (lines []string) {
	for _, m := range msgs {
		lines = append(lines, string(m.Line))
	}
	return lines
}

// Whichever bit flips, one record is lost, which is reported in its place, and
// reading from the end finds the others too.
func TestFlippedBits(t *testing.T) {
	b, lines, ends := small()
	path := filepath.Join(t.TempDir(), "x.log")
	for bit := range 8 * len(b) {
		at := bit / 8
		bad := slices.Clone(b)
		bad[at] ^= 1 << (bit % 8)
		if err := os.WriteFile(path, bad, 0o640); err != nil {
			t.Fatal(err)
		}
		hit, _ := slices.BinarySearch(ends, at+1)
		want := slices.Delete(slices.Clone(lines), hit, hit+1)
		for _, tail := range []int{-1, len(want), 1} {
			msgs, damage := readFile(t, path, logdriver.ReadConfig{Tail: tail})
			wantLines := want
			if tail == 1 {
				wantLines = want[len(want)-1:]
			} else if tail < 0 && len(damage) != 1 {
				t.Fatalf("bit %d of byte %d: %d reports", bit%8, at, len(damage))
			}
			if got := linesOf(msgs); !slices.Equal(got, wantLines) {
				t.Fatalf("bit %d of byte %d, tail %d: got %q, want %q", bit%8, at, tail, got, wantLines)
			}
		}
	}
}

// Wherever a file ends, the records before are there, and those that the next
// writer appends, without a claim to more.
func TestTornTails(t *testing.T) {
	b, lines, ends := small()
	for n := range len(b) {
		path := filepath.Join(t.TempDir(), "x.log")
		if err := os.WriteFile(path, b[:n], 0o640); err != nil {
			t.Fatal(err)
		}
		l, err := logfile.Open(logfile.Config{Path: path, Format: New(nil), Numbered: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Append([]*logdriver.Message{{Line: []byte("new"), Timestamp: stamp}}); err != nil {
			t.Fatal(err)
		}
		l.Close()
		whole := 0
		for whole < len(ends) && ends[whole]-1 <= n { // also without its last byte
			whole++
		}
		msgs, damage := readFile(t, path, logdriver.ReadConfig{Tail: -1})
		if got, want := linesOf(msgs), append(slices.Clone(lines[:whole]), "new\n"); !slices.Equal(got, want) {
			t.Errorf("%d bytes: got %q, want %q", n, got, want)
		}
		torn := whole == 0 && n > 0 || whole > 0 && n > ends[whole-1]
		if torn != (len(damage) == 1) {
			t.Errorf("%d bytes: %v", n, damage)
		}
	}
}

// A message cannot hold what would be taken for a record, not even in a damaged one.
func TestNoForgery(t *testing.T) {
	enc := New(nil).NewEncoder()
	forged := enc.Append(nil, &logdriver.Message{Line: []byte("forged")})
	b := enc.Append(nil, &logdriver.Message{Line: slices.Concat([]byte("\n"), forged, forged)})
	b[2] ^= 1
	if msgs, damage := read(t, b); len(msgs) != 0 || len(damage) != 1 {
		t.Errorf("%d messages, %v", len(msgs), damage)
	}
}
