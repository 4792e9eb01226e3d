package spool

import (
	"bytes"
	"fmt"
	"math"
	"testing"

	"github.com/logplug/logplug/shared/logdriver"
	"github.com/logplug/logplug/shared/wire"
	"pgregory.net/rapid"
)

// fill returns an arena's medium with n messages of a stream, "message 1" and so on,
// padded to size.
func fill(t rapid.TB, n, size int) *fakeMedium {
	t.Helper()
	m := newFakeMedium(600, 600)
	a, _, err := openArena(m)
	if err != nil {
		t.Fatal(err)
	}
	q := New(a, Stream{1})
	for i := range n {
		line := fmt.Appendf(nil, "message %d ", i+1)
		if _, _, err := appendTo(q, &logdriver.Message{Source: "stdout", Line: append(line, bytes.Repeat([]byte{'x'}, size)...)}); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// spoil damages a message of fill.
func (m *fakeMedium) spoil(seq int) {
	line := fmt.Appendf(nil, "message %d ", seq)
	m.mem[bytes.Index(m.mem, line)] ^= 1
}

// restore returns the queue of the next process.
func (m *fakeMedium) restore(t rapid.TB) (q *Queue, lost uint64) {
	t.Helper()
	a, runs, err := openArena(m.kill())
	if err != nil {
		t.Fatal(err)
	}
	if len(runs) == 0 {
		t.Fatal("nothing is left")
	}
	return Restore(a, runs)
}

// TestLostTail: the last messages of a block are damaged, all of one that was synced
// with its first page alone. What is before them is sent and settled, and what comes
// after.
func TestLostTail(t *testing.T) {
	t.Parallel()
	m := fill(t, 8, 10)
	for seq := 6; seq <= 8; seq++ {
		m.spoil(seq)
	}
	q, lost := m.restore(t)
	if q.Count() != 5 || lost != 3 || q.Last() != 8 {
		t.Fatalf("%d messages up to %d, %d lost", q.Count(), q.Last(), lost)
	}
	var w wire.WriteRequest
	defer w.Free()
	for range 2 {
		if n := q.Take(&w, 7, 1<<20, true, math.MaxUint64); n != q.Bytes() || q.Unsent() || q.Sent() != 5 {
			t.Fatalf("took %d bytes of %d up to %d", n, q.Bytes(), q.Sent())
		}
		q.Rewind()
	}
	if n, _ := q.Ack(5); n != 5 || q.First() != 9 || q.Acked() != 5 || q.Sent() < 5 {
		t.Fatalf("settled %d; the first is %d, acknowledged %d, sent %d", n, q.First(), q.Acked(), q.Sent())
	}
	w.Free()
	if seq, size, err := appendTo(q, &logdriver.Message{}); seq != 9 || err != nil || q.Take(&w, 7, 1<<20, true, 9) != size {
		t.Fatalf("the next message is %d: %v", seq, err)
	}
	if n, _ := q.Ack(9); n != 1 {
		t.Fatalf("settled %d", n)
	}
}

// TestSentEndsBeforeAHole, whatever was to be sent: what is behind it was not.
func TestSentEndsBeforeAHole(t *testing.T) {
	t.Parallel()
	m := fill(t, 5, 10)
	m.spoil(3)
	for _, last := range []uint64{2, 3} {
		q, _ := m.restore(t)
		var w wire.WriteRequest
		q.Take(&w, 7, 1<<20, true, last)
		w.Free()
		if q.Sent() != 2 || !q.Unsent() {
			t.Errorf("sent %d, want 2; more: %v", q.Sent(), q.Unsent())
		}
	}
}

// TestQueueWithHoles: a queue of what damage has left behaves as any other.
func TestQueueWithHoles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const messages = 40
		m := fill(t, messages, rapid.SampledFrom([]int{1, 300, 3000}).Draw(t, "size"))
		bad := rapid.SliceOfDistinct(rapid.IntRange(1, messages), func(n int) int { return n }).Draw(t, "damaged")
		for _, seq := range bad {
			m.spoil(seq)
		}
		q, lost := m.restore(t)
		if q.Count()+lost != messages {
			t.Fatalf("%d messages are found and %d missing of %d", q.Count(), lost, messages)
		}
		qm := &queueModel{q: q, next: messages + 1, entrySize: func(m *logdriver.Message) int { return wire.Measure(m).CheckedSize() }}
		qm.kept, _ = take(t, q, 1<<30, true)
		q.Rewind()
		t.Repeat(qm.actions())
		for q.Unsent() {
			take(t, q, 1<<30, true)
		}
		q.Ack(q.Sent())
		if q.Count() != 0 || q.First() <= q.Last() {
			t.Fatalf("%d messages from %d on are left of %d", q.Count(), q.First(), q.Last())
		}
	})
}
