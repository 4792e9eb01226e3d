package remote

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestOutbox compares the box with a plain list of frames, through any sequence of
// what connections do.
func TestOutbox(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var (
			b      outbox
			frames [][]byte // that are held
			acked  int      // of them
			count  int
			now    = time.Unix(0, 0)
		)
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				var p []byte
				var ends []int
				for range rapid.IntRange(0, 5).Draw(t, "frames") {
					f := []byte(fmt.Sprintf("%d%s;", count, bytes.Repeat([]byte("x"), rapid.IntRange(0, 20).Draw(t, "size"))))
					count++
					frames, p = append(frames, f), append(p, f...)
					ends = append(ends, len(p))
				}
				b.add(p, ends)
			},
			"write": func(t *rapid.T) {
				b.written += int64(rapid.IntRange(0, len(b.unwritten())).Draw(t, "bytes"))
			},
			"confirm": func(t *rapid.T) {
				now = now.Add(time.Second)
				b.confirm(b.base+rapid.Int64Range(0, b.written-b.base).Draw(t, "position"), now)
				if b.acked < acked {
					t.Fatalf("%d frames were acknowledged, now %d", acked, b.acked)
				}
				acked = b.acked
			},
			"rewind": func(*rapid.T) { b.rewind() },
			"trim": func(t *rapid.T) {
				before := len(b.marks)
				most := rapid.IntRange(0, 60).Draw(t, "most")
				age := now.Add(-time.Duration(rapid.IntRange(0, 5).Draw(t, "age")) * time.Second)
				b.trim(most, age)
				n := before - len(b.marks)
				frames, acked = frames[n:], acked-n
			},
			"expire": func(t *rapid.T) {
				before := len(b.marks)
				b.expire(now.Add(-time.Duration(rapid.IntRange(0, 5).Draw(t, "age")) * time.Second))
				n := before - len(b.marks)
				frames, acked = frames[n:], acked-n
			},
			"forget": func(*rapid.T) {
				b.forget()
				b.rewind()
				frames = frames[:acked]
			},
			"release": func(*rapid.T) { b.release() },
			"": func(t *rapid.T) {
				if acked < 0 || b.acked != acked || b.pending() != len(frames)-acked || b.confirmed > len(frames) {
					t.Fatalf("%d acknowledged, not %d, and %d pending of %d", b.acked, acked, b.pending(), len(frames))
				}
				if got, want := b.bytes(b.base, b.end()), bytes.Join(frames, nil); !bytes.Equal(got, want) {
					t.Fatalf("it holds %q, not %q", got, want)
				}
				if b.written < b.base || b.written > b.end() {
					t.Fatalf("written is %d, not from %d to %d", b.written, b.base, b.end())
				}
			},
		})
	})
}

// A frame that was confirmed is kept until it is too old, or there is more than
// is to be kept.
func TestOutboxTrim(t *testing.T) {
	var b outbox
	at := func(s int64) time.Time { return time.Unix(s, 0) }
	for i := range int64(4) {
		b.add([]byte("0123456789"), []int{5, 10})
		b.written = b.end()
		b.confirm(b.end(), at(i))
	}
	b.trim(30, at(0))
	if got := len(b.marks); got != 6 {
		t.Errorf("%d frames are kept, not 6", got)
	}
	b.trim(30, at(3))
	if got := len(b.marks); got != 2 {
		t.Errorf("%d frames are kept, not 2", got)
	}
	b.rewind()
	b.trim(0, at(9))
	b.expire(at(9))
	if got := string(b.unwritten()); got != "0123456789" {
		t.Errorf("%q is to be sent again", got)
	}
	b.written = b.end()
	b.confirm(b.base+5, at(5))
	b.expire(at(9))
	b.rewind()
	if got := string(b.unwritten()); got != "56789" {
		t.Errorf("%q is to be sent again after one more connection", got)
	}
}
