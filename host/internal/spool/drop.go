package spool

import (
	"cmp"
	"slices"

	"github.com/logplug/logplug/shared/logdriver"
	"github.com/logplug/logplug/shared/wire"
)

// Dropped is what DropOldest removed, with what it had removed in the same place
// before.
type Dropped struct {
	// First and Last are the sequences. Of those between them, some may have been
	// missing before.
	First, Last uint64
	// Messages is the number of messages, Bytes their encoded size.
	Messages, Bytes uint64

	left uint64 // as First, but for what was left out before
}

// DropOldest removes the oldest block of messages of which none was sent, and
// puts a message in its place that mark makes of all that was dropped there. The
// new message has the sequence of the last one dropped. It returns how many
// messages and bytes it dropped, 0 if all were sent, and how many marks are more
// than before: 1, or 0 if the mark took the place of an earlier one.
//
// A fault in the memory of what is to be dropped is the caller's to guard against,
// and leaves the queue as it was; one in the mark's is the error.
func (q *Queue) DropOldest(mark func(Dropped) *logdriver.Message) (messages uint64, bytes, marks int, err error) {
	i := q.firstUnsent()
	d := Dropped{}
	start := i
	marks = 1
	if i < len(q.chunks) && q.chunks[i].dropped != nil { // grows the gap that is there
		d, marks = *q.chunks[i].dropped, 0
		i++
	}
	end := q.blockEnd(i)
	for _, c := range q.chunks[i:end] {
		messages, bytes = messages+uint64(c.count), bytes+len(c.buf)-c.off
	}
	if messages == 0 {
		return 0, 0, 0, nil
	}
	if d.First == 0 {
		d.First = q.chunks[i].first
		d.left = cmp.Or(q.chunks[i].left, d.First)
	}
	d.Last, d.Messages, d.Bytes = q.chunks[end-1].end()-1, d.Messages+messages, d.Bytes+uint64(bytes)
	q.remove(start, end)
	if err := Guard(func() error { return q.insert(start, d, mark(d)) }); err != nil {
		return messages, bytes, marks - 1, err
	}
	return messages, bytes, marks, nil
}

// firstUnsent returns the index of the first chunk behind the cursor in whose block
// nothing was sent.
func (q *Queue) firstUnsent() int {
	if !q.Unsent() {
		return len(q.chunks)
	}
	if c := q.chunks[q.cur]; q.curSeq > c.first || q.curOff > c.off {
		return q.blockEnd(q.cur)
	}
	return q.cur
}

// blockEnd returns the index behind the chunks from i on that are in one block. They
// are dropped together: a block that stays would bring those back after a crash that
// were dropped alone.
func (q *Queue) blockEnd(i int) int {
	end := i
	for end < len(q.chunks) && q.chunks[end].block == q.chunks[i].block {
		end++
	}
	return end
}

// remove drops the chunks from i up to j, of which nothing was sent.
func (q *Queue) remove(i, j int) {
	for k := i; k < j; k = q.blockEnd(k) {
		c := q.chunks[k]
		c.block.Settled(c.first - 1) // as it was: a fault must come before anything changes
	}
	for _, c := range q.chunks[i:j] {
		q.count -= uint64(c.count)
		q.bytes -= len(c.buf) - c.off
		c.block.Free()
	}
	q.chunks = slices.Delete(q.chunks, i, j)
	q.rest(i)
}

// insert puts a chunk with m alone, of which nothing was sent, before the chunk i.
func (q *Queue) insert(i int, d Dropped, m *logdriver.Message) error {
	defer logdriver.PutMessage(m)
	c, size, err := q.fresh(d.Last, m)
	if err != nil {
		return err
	}
	c.dropped, c.left = &d, d.left
	c.block.Dropped(d.left)
	q.count++
	q.bytes += size
	q.chunks = slices.Insert(q.chunks, i, c)
	q.rest(i)
	return nil
}

// rest puts the cursor, if it was in the chunk i, to the beginning of the one that is
// there now.
func (q *Queue) rest(i int) {
	if q.cur != i {
		return
	}
	q.curOff, q.curSeq = 0, q.next
	if i < len(q.chunks) {
		q.curOff, q.curSeq = q.chunks[i].off, q.chunks[i].first
	}
}

// fresh returns a chunk with m alone, with the sequence seq, and m's encoded size.
func (q *Queue) fresh(seq uint64, m *logdriver.Message) (c *chunk, size int, err error) {
	n := wire.Measure(m)
	if c, err = q.alloc(seq, 0, n.CheckedSize()); err != nil {
		return nil, 0, err
	}
	size = c.add(m, n)
	// Nothing else may be appended: its sequences are taken.
	c.buf = c.buf[:len(c.buf):len(c.buf)]
	return c, size, nil
}
