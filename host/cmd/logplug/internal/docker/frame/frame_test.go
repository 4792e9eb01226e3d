package frame

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/logplug/logplug/shared/logdriver"
)

func message(i int) *logdriver.Message {
	m := &logdriver.Message{
		Line: []byte(strings.Repeat("x", i%300) + fmt.Sprint(i)), Source: "stdout", Timestamp: time.Unix(1700000000, int64(i)),
	}
	if i%3 == 0 {
		m.Source = "stderr"
	}
	if i%5 == 0 {
		m.Partial = logdriver.Partial{ID: "0123456789abcdef", Ordinal: i + 1, Last: i%2 == 0}
	}
	return m
}

func same(e *Entry, m *logdriver.Message) bool {
	return bytes.Equal(e.Line, m.Line) && string(e.Source) == m.Source && e.TimeNano == m.Timestamp.UnixNano() &&
		e.Partial == m.Partial.IsPartial() && string(e.PartialID) == m.Partial.ID &&
		e.Ordinal == m.Partial.Ordinal && e.Last == m.Partial.Last
}

func TestRoundTrip(t *testing.T) {
	var b []byte
	const n = 1000
	for i := range n {
		b = Append(b, message(i))
	}
	for i := range n {
		e, size, err := Next(b)
		if err != nil || size == 0 {
			t.Fatalf("frame %d: %d bytes, %v", i, size, err)
		}
		if want := message(i); !same(&e, want) {
			t.Fatalf("frame %d is %+v, want %+v", i, e, want)
		}
		b = b[size:]
	}
	if len(b) > 0 {
		t.Errorf("%d bytes are left", len(b))
	}
}

func TestEveryPrefixNeedsMore(t *testing.T) {
	b := Append(nil, message(30))
	for i := range b {
		if _, n, err := Next(b[:i]); n != 0 || err != nil {
			t.Errorf("%d of %d bytes give %d, %v", i, len(b), n, err)
		}
		if i > 0 && !mayBegin(b[:i]) {
			t.Errorf("%d of %d bytes are not taken for the beginning of a frame", i, len(b))
		}
	}
}

func TestLengthIsChecked(t *testing.T) {
	b := binary.BigEndian.AppendUint32(nil, MaxBytes+1)
	if _, _, err := Next(b); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a frame that is too long gives %v", err)
	}
}

// A line of the daemon's is not copied.
func TestDecodingDoesNotAllocate(t *testing.T) {
	b := Append(nil, message(30))
	if n := testing.AllocsPerRun(100, func() { _, _, _ = Next(b) }); n > 0 {
		t.Errorf("decoding allocates %v times", n)
	}
}

// Whatever is damaged, the frames behind it are found.
func TestResync(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 500 {
		first := Append(nil, message(round))
		cut := 1 + random.IntN(len(first)-1)
		b := first[cut:] // begins in the middle of a frame
		for i := range 5 {
			b = Append(b, message(round+1+i))
		}
		var got []Entry
		for len(b) > 0 {
			e, n, err := Next(b)
			if err == nil && n > 0 {
				got, b = append(got, e), b[n:]
				continue
			}
			// A false length that reaches beyond the end is no use to wait for.
			b = b[Resync(b):]
		}
		if len(got) < 5 {
			t.Fatalf("cut at %d: %d frames of 5 are found", cut, len(got))
		}
		for i, e := range got[len(got)-5:] {
			if !same(&e, message(round+1+i)) {
				t.Fatalf("cut at %d: frame %d is %+v", cut, i, e)
			}
		}
	}
}

func FuzzNext(f *testing.F) {
	f.Add(Append(Append(nil, message(30)), message(7)))
	f.Add([]byte("\xff\xff\xff\xff\x0a\x06stdout\x10"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for len(b) > 0 {
			e, n, err := Next(b)
			if err == nil && n > 0 {
				if n > len(b) || len(e.Line) > n || e.Last && len(e.PartialID) > n {
					t.Fatalf("%d of %d bytes: %+v", n, len(b), e)
				}
				b = b[n:]
				continue
			}
			skip := Resync(b)
			if skip < 1 || skip > len(b) {
				t.Fatalf("skips %d of %d bytes", skip, len(b))
			}
			b = b[skip:]
		}
	})
}
