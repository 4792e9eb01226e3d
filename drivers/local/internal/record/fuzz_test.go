package record

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/logplug/logplug/shared/logdriver"
)

// FuzzDecode checks that decoding holds for any bytes, and that what it takes for
// a message is one: encoded again it is the same.
func FuzzDecode(f *testing.F) {
	enc := New(constants).NewEncoder()
	for _, m := range samples() {
		f.Add(enc.Append(nil, m), true)
	}
	f.Add([]byte{start, end}, false)
	f.Fuzz(func(t *testing.T, b []byte, sum bool) {
		if sum { // get past the checksum
			b = seal(append(make([]byte, 1+sumBytes), b...), 0)
		}
		dec := New(nil).NewDecoder()
		for _, frame := range frames(b) {
			m := logdriver.NewMessage()
			if dec.Decode(frame, m) != nil {
				continue
			}
			again, copied := New(nil), *m
			if !m.Partial.More() && !m.Unterminated {
				copied.Line = bytes.TrimSuffix(m.Line, separator)
			}
			got := logdriver.NewMessage()
			if err := again.NewDecoder().Decode(again.NewEncoder().Append(nil, &copied), got); err != nil {
				t.Fatal(err)
			}
			if d := diff(m, got); d != "" {
				t.Fatal(d)
			}
		}
	})
}

// FuzzFraming checks that frames are the same forwards and backwards, that no byte is
// left out, and that a record is found whatever surrounds it.
func FuzzFraming(f *testing.F) {
	b, _, _ := small()
	f.Add(b, []byte("torn"))
	f.Add([]byte{start, end, end, start, start}, []byte{escape})
	f.Fuzz(func(t *testing.T, before, after []byte) {
		record := New(nil).NewEncoder().Append(nil, &logdriver.Message{Line: after, Timestamp: time.Unix(0, 1)})
		b := slices.Concat(before, record, after)
		forwards := frames(b)
		if !slices.ContainsFunc(forwards, func(frame []byte) bool { return bytes.Equal(frame, record) }) {
			t.Errorf("%q is not found in %q", record, b)
		}
		var backwards [][]byte
		for rest := b; len(rest) > 0; {
			i := max(Framing{}.Last(rest), 0)
			backwards = append(backwards, rest[i:])
			rest = rest[:i]
		}
		slices.Reverse(backwards)
		if !slices.EqualFunc(forwards, backwards, bytes.Equal) {
			t.Errorf("forwards %q, backwards %q", forwards, backwards)
		}
		if n := len(forwards[0]); n > 1 && n < len(b) && (Framing{}).Resync(b[1:])+1 != n {
			t.Errorf("resync at %d in %q", Framing{}.Resync(b[1:]), b)
		}
	})
}

// FuzzStuffing checks that stuffing can be undone, and leaves no byte that frames.
func FuzzStuffing(f *testing.F) {
	f.Add([]byte("plain"))
	f.Add([]byte{end, start, escape, 'x', escape})
	f.Fuzz(func(t *testing.T, b []byte) {
		stuffed := stuff(slices.Clone(b), 0)
		if bytes.IndexByte(stuffed, end) >= 0 || bytes.IndexByte(stuffed, start) >= 0 {
			t.Errorf("%q", stuffed)
		}
		if got, _ := unstuff(nil, stuffed); !bytes.Equal(got, b) {
			t.Errorf("got %q, want %q", got, b)
		}
	})
}
