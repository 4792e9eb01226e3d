package spool

import (
	"bytes"
	"errors"
	"fmt"
	"math"

	"github.com/logplug/logplug/shared/logdriver"
	"pgregory.net/rapid"
)

// queueModel drives a queue and remembers what it should hold.
type queueModel struct {
	q      *Queue
	kept   []sent
	cursor int    // how many of them were taken
	next   uint64 // the sequence of the next message

	entrySize func(*logdriver.Message) int
	mayBeFull bool // the store
}

func (qm *queueModel) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"append": qm.append, "take": qm.take, "ack": qm.ack, "drop": qm.drop, "": qm.check,
		"rewind": func(*rapid.T) { qm.q.Rewind(); qm.cursor = 0 },
	}
}

func (qm *queueModel) append(t *rapid.T) {
	n := rapid.SampledFrom([]int{0, 1, 100, 5000, 40000}).Draw(t, "size")
	m := &logdriver.Message{Source: "stdout", Line: bytes.Repeat([]byte{'a' + byte(qm.next%26)}, n)}
	got, size, err := appendTo(qm.q, m)
	if qm.mayBeFull && errors.Is(err, ErrFull) {
		return
	}
	if got != qm.next || size != qm.entrySize(m) || err != nil {
		t.Fatalf("sequence %d size %d: %v; want %d %d", got, size, err, qm.next, qm.entrySize(m))
	}
	qm.kept = append(qm.kept, sent{qm.next, string(m.Line)})
	qm.next++
}

func (qm *queueModel) take(t *rapid.T) {
	limit := rapid.SampledFrom([]int{0, 50, 1000, 1 << 20}).Draw(t, "limit")
	force := rapid.Bool().Draw(t, "force")
	last := rapid.SampledFrom([]uint64{math.MaxUint64, qm.next / 2}).Draw(t, "last")
	got, size := takeUntil(t, qm.q, limit, force, last)
	if size > limit && !(force && len(got) == 1) {
		t.Fatalf("took %d bytes, limit %d", size, limit)
	}
	want := qm.kept[qm.cursor:]
	if len(got) > 0 && got[len(got)-1].seq > last {
		t.Fatalf("took %d, beyond %d", got[len(got)-1].seq, last)
	}
	if (force || limit == 1<<20) && len(want) > 0 && want[0].seq <= last && len(got) == 0 {
		t.Fatal("took nothing")
	}
	if fmt.Sprint(got) != fmt.Sprint(append([]sent(nil), want[:len(got)]...)) {
		t.Fatalf("took %v, want a prefix of %v", got, want)
	}
	if len(got) > 0 && qm.q.Sent() != got[len(got)-1].seq {
		t.Fatalf("sent %d, took up to %d", qm.q.Sent(), got[len(got)-1].seq)
	}
	qm.cursor += len(got)
}

func (qm *queueModel) ack(t *rapid.T) {
	n := rapid.IntRange(0, qm.cursor).Draw(t, "n")
	if n == 0 {
		return
	}
	messages, _ := qm.q.Ack(qm.kept[n-1].seq)
	if messages != uint64(n) || qm.q.Acked() != qm.kept[n-1].seq {
		t.Fatalf("acked %d up to %d, want %d up to %d", messages, qm.q.Acked(), n, qm.kept[n-1].seq)
	}
	qm.kept, qm.cursor = qm.kept[n:], qm.cursor-n
}

func (qm *queueModel) drop(t *rapid.T) {
	var mark Dropped
	messages, _, marks, err := qm.q.DropOldest(func(d Dropped) *logdriver.Message {
		mark = d
		m := logdriver.NewMessage()
		m.Line = fmt.Appendf(m.Line, "dropped %d to %d", d.First, d.Last)
		m.Source = "stdout"
		return m
	})
	if err != nil && !(qm.mayBeFull && errors.Is(err, ErrFull)) {
		t.Fatal(err)
	}
	if messages == 0 {
		return
	}
	// Everything between the mark's sequences is gone, none of it was sent.
	var kept []sent
	removed := 0
	for i, s := range qm.kept {
		switch {
		case s.seq < mark.First:
			kept = append(kept, s)
		case s.seq > mark.Last:
			kept = append(kept, s)
		case i < qm.cursor:
			t.Fatalf("dropped %d, which was sent", s.seq)
		default:
			removed++
		}
		if s.seq == mark.Last {
			kept = append(kept, sent{mark.Last, fmt.Sprintf("dropped %d to %d", mark.First, mark.Last)})
		}
	}
	if uint64(removed) != messages+uint64(1-marks) {
		t.Fatalf("says %d dropped and %d new marks, %d are gone", messages, marks, removed)
	}
	qm.kept = kept
}

// settled tells whether nothing up to last is kept.
func (qm *queueModel) settled(last uint64) bool { return len(qm.kept) == 0 || qm.kept[0].seq > last }

func (qm *queueModel) check(t *rapid.T) {
	q, size := qm.q, 0
	for _, s := range qm.kept {
		size += qm.entrySize(&logdriver.Message{Source: "stdout", Line: []byte(s.line)})
	}
	if q.Count() != uint64(len(qm.kept)) || q.Bytes() != size || q.Last() != qm.next-1 {
		t.Fatalf("count %d bytes %d last %d, want %d %d %d", q.Count(), q.Bytes(), q.Last(), len(qm.kept), size, qm.next-1)
	}
	if q.Unsent() != (qm.cursor < len(qm.kept)) {
		t.Fatalf("unsent %v; model has %d, cursor %d", q.Unsent(), len(qm.kept), qm.cursor)
	}
	if qm.cursor > 0 && q.Sent() < qm.kept[qm.cursor-1].seq || qm.cursor < len(qm.kept) && q.Sent() >= qm.kept[qm.cursor].seq {
		t.Fatalf("sent %d; model's cursor is %d of %v", q.Sent(), qm.cursor, qm.kept)
	}
	if (q.First() > q.Last()) != qm.settled(q.Last()) {
		t.Fatalf("the first is %d of %d; model has %v", q.First(), q.Last(), qm.kept)
	}
	if len(qm.kept) == 0 && q.chunks != nil {
		t.Fatal("an empty queue holds chunks")
	}
}
