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
	m := newFakeMedium(100, 100)
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

// restore returns the queue of the next process, which goes on with m.
func (m *fakeMedium) restore(t rapid.TB) (q *Queue, lost uint64) {
	t.Helper()
	a, runs, err := openArena(m)
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
		q, _ := m.kill().restore(t)
		var w wire.WriteRequest
		q.Take(&w, 7, 1<<20, true, last)
		w.Free()
		if q.Sent() != 2 || !q.Unsent() {
			t.Errorf("sent %d, want 2; more: %v", q.Sent(), q.Unsent())
		}
	}
}

// TestQueueWithHoles: a queue of what damage has left behaves as any other, and what it
// keeps, and that alone, is found when its process is killed.
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
		qm := &queueModel{mayBeFull: true, q: q, next: messages + 1, entrySize: func(m *logdriver.Message) int { return wire.Measure(m).CheckedSize() }}
		qm.kept, _ = take(t, q, 1<<30, true)
		q.Rewind()
		actions := qm.actions()
		check := actions[""]
		actions[""] = func(t *rapid.T) {
			check(t)
			checkKilled(t, m, qm.kept, lost)
		}
		t.Repeat(actions)
		for q.Unsent() {
			take(t, q, 1<<30, true)
		}
		q.Ack(q.Sent())
		if q.Count() != 0 || q.First() <= q.Last() {
			t.Fatalf("%d messages from %d on are left of %d", q.Count(), q.First(), q.Last())
		}
	})
}

// checkKilled asserts what is found of the stream of fill after a kill: kept, and damage
// that costs lost messages at most.
func checkKilled(t *rapid.T, m *fakeMedium, kept []sent, lost uint64) {
	a, runs, err := openArena(m.kill())
	if err != nil {
		t.Fatal(err)
	}
	var found []sent
	restoreAll(a, runs, func(_ Stream, q *Queue, more uint64) {
		if found, _ = take(t, q, 1<<30, true); more > lost {
			t.Fatalf("%d messages are missing, at first %d were", more, lost)
		}
	})
	if fmt.Sprint(found) != fmt.Sprint(append([]sent(nil), kept...)) {
		t.Fatalf("found %.500v, want %.500v", fmt.Sprint(found), fmt.Sprint(kept))
	}
}

// TestDropOldestBesideWhatIsOnItsWay in the same block, which a crash would bring back:
// another block is dropped.
func TestDropOldestBesideWhatIsOnItsWay(t *testing.T) {
	t.Parallel()
	m := fill(t, 5, 10)
	m.spoil(3)
	q, _ := m.restore(t)
	var w wire.WriteRequest
	defer w.Free()
	q.Take(&w, 7, 1<<20, true, 2)
	drop := func() (dropped Dropped, messages uint64) {
		messages, _, _, err := q.DropOldest(func(d Dropped) *logdriver.Message {
			dropped = d
			return logdriver.NewMessage()
		})
		if err != nil {
			t.Fatal(err)
		}
		return dropped, messages
	}
	if _, n := drop(); n != 0 {
		t.Errorf("%d messages were dropped beside what is on its way", n)
	}
	if got, _ := m.kill().restore(t); got.Count() != 4 {
		t.Errorf("%d messages are found, want 4", got.Count())
	}
	q.Rewind()
	if d, n := drop(); n != 4 || d.First != 1 || d.Last != 5 || d.Messages != 4 {
		t.Errorf("%d messages were dropped: %+v", n, d)
	}
	if got, lost := m.kill().restore(t); got.Count() != 1 || lost != 0 || got.First() != 5 {
		t.Errorf("%d messages are found from %d on and %d missing, want the mark", got.Count(), got.First(), lost)
	}
}

// TestDroppedThatComesBack beside its mark: a loss of power has undone that its block
// was freed.
func TestDroppedThatComesBack(t *testing.T) {
	t.Parallel()
	m := fill(t, 4, 10)
	block := bytes.Clone(m.mem[pageBytes:][:pageBytes])
	q, _ := m.restore(t)
	if n, _, _, err := q.DropOldest(func(Dropped) *logdriver.Message {
		// Lest the mark gets the page that was freed.
		a := q.store.(*Arena)
		if err := a.growBy(1); err != nil {
			t.Fatal(err)
		}
		a.next = 2
		return logdriver.NewMessage()
	}); n != 4 || err != nil {
		t.Fatalf("%d messages were dropped: %v", n, err)
	}
	copy(m.mem[pageBytes:], block)
	got, lost := m.restore(t)
	if got.Count() != 4 || lost != 0 || got.Last() != 4 {
		t.Errorf("%d messages are found up to %d and %d missing, want 4 and none", got.Count(), got.Last(), lost)
	}
}

// TestLeftOutIsNotMissing after a crash, also where what follows was dropped, and so was
// the mark of that, by the next process.
func TestLeftOutIsNotMissing(t *testing.T) {
	t.Parallel()
	const distance = 1 << 32
	m := fill(t, 5, 10)
	q, _ := m.restore(t)
	q.LeaveOut(distance)
	if seq, _, err := appendTo(q, &logdriver.Message{}); seq != 6+distance || err != nil {
		t.Fatalf("the next message is %d: %v", seq, err)
	}
	for range 3 {
		var w wire.WriteRequest
		var lost uint64
		if q, lost = m.restore(t); q.Count() != 6 || lost != 0 {
			t.Fatalf("%d messages are found and %d missing, want 6 and none", q.Count(), lost)
		}
		q.Take(&w, 7, 1<<20, true, 5)
		w.Free()
		if n, _, _, err := q.DropOldest(func(Dropped) *logdriver.Message { return logdriver.NewMessage() }); n != 1 || err != nil {
			t.Fatalf("%d messages were dropped: %v", n, err)
		}
	}
	q.Rewind()
	var w wire.WriteRequest
	defer w.Free()
	if n := q.Take(&w, 7, 1<<20, true, math.MaxUint64); n != q.Bytes() || q.Sent() != 6+distance || q.Sending() != 6 || q.BytesBetween(0, q.Sent()) != n {
		t.Errorf("%d messages of %d bytes are taken up to %d", q.Sending(), n, q.Sent())
	}
	if n, _ := q.Ack(8); n != 5 {
		t.Errorf("%d messages are settled, want 5", n)
	}
	if sent := decode(t, &w); len(sent) != 6 || sent[5].seq != 6+distance {
		t.Errorf("sent %v", sent)
	}
}

// TestLeaveOutInAnEmptyQueue: its cursor moves along.
func TestLeaveOutInAnEmptyQueue(t *testing.T) {
	t.Parallel()
	q := New(Memory{}, Stream{})
	defer q.Release()
	q.LeaveOut(10)
	q.LeaveOut(10)
	if _, _, err := appendTo(q, &logdriver.Message{}); err != nil {
		t.Fatal(err)
	}
	var w wire.WriteRequest
	q.Take(&w, 7, 1<<20, true, math.MaxUint64)
	if sent := decode(t, &w); len(sent) != 1 || sent[0].seq != 21 {
		t.Errorf("sent %v, want message 21", sent)
	}
	q.LeaveOut(MaxSkip)
	if q.Last() != 21 {
		t.Errorf("more is left out than there are numbers: %d", q.Last())
	}
}
