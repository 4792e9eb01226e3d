// Package spool keeps messages that are accepted and not yet acknowledged, in
// the encoding in which they travel.
package spool

import (
	"cmp"
	"encoding/binary"

	"github.com/logplug/logplug/shared/logdriver"
	"github.com/logplug/logplug/shared/wire"
)

// Chunks grow from the first to the last of these sizes while a queue stays
// busy, so that a quiet logger is cheap and a busy one seldom allocates. They
// are sizes of package wire's pool.
const (
	minChunkBytes = 4 << 10
	maxChunkBytes = 32 << 10
)

// Queue is one logger's messages in the order of their sequences. It has two
// ends and a cursor between them: Append adds at the back, Take moves the cursor,
// Ack removes from the front, Rewind takes the cursor back to the front. An
// empty queue holds no buffer.
//
// Sequences grow and may leave out numbers, also the last ones: of messages that were
// dropped, or that a crash has taken.
//
// A Queue is not safe for concurrent use. Use New to make one.
type Queue struct {
	store  Store
	stream Stream

	chunks []*chunk // oldest first
	cur    int      // index of the chunk that the cursor is in
	curOff int      // the cursor's offset in it
	curSeq uint64   // the sequence at the cursor

	count uint64
	bytes int
	next  uint64 // the sequence of the next message
	acked uint64 // everything up to it is settled
	left  uint64 // the first sequence that LeaveOut has left out right before next; 0 if none
}

// chunk holds consecutive entries in a block.
type chunk struct {
	block Block
	buf   []byte // the block's memory, as far as it is filled
	first uint64 // sequence of the first entry that is left
	count int    // entries that are left
	off   int    // where they begin
	lent  bool   // as a batch
	plain bool   // its block has no use for checks, nor for being told of messages

	left    uint64   // the first of those sequences right before first that are left out on purpose; 0 if none
	dropped *Dropped // set if it stands for messages that were dropped
}

func (c *chunk) end() uint64 { return c.first + uint64(c.count) }

// Use makes the queue keep what comes in another store. What it has stays where it is.
func (q *Queue) Use(store Store) { q.store = store }

// New returns a queue for the stream, which keeps its messages in store. Its
// first message gets sequence 1.
func New(store Store, stream Stream) *Queue {
	return &Queue{store: store, stream: stream, next: 1, curSeq: 1}
}

// Skip makes the next message get the sequence after seq; up to it everything is
// settled. It is MaxSkip at most, not below Last, and the queue must be empty.
func (q *Queue) Skip(seq uint64) { q.next, q.curSeq, q.acked, q.left = seq+1, seq+1, seq, 0 }

// LeaveOut makes the next message get a sequence that is n higher. After a crash those
// between do not count as missing. It does nothing where sequences would run out.
func (q *Queue) LeaveOut(n uint64) {
	if q.Last() > MaxSkip-n {
		return
	}
	q.left = cmp.Or(q.left, q.next)
	q.next += n
	if len(q.chunks) == 0 {
		q.Rewind()
	}
}

// Count returns the number of messages kept.
func (q *Queue) Count() uint64 { return q.count }

// Bytes returns the encoded size of the messages kept.
func (q *Queue) Bytes() int { return q.bytes }

// Last returns the sequence of the message appended last, 0 before the first.
func (q *Queue) Last() uint64 { return q.next - 1 }

// Acked returns the sequence up to which everything was said to be settled. What is
// left out behind it does not count: First tells where messages are.
func (q *Queue) Acked() uint64 { return q.acked }

// Sent returns the sequence before the cursor: behind Take, of the message taken last.
func (q *Queue) Sent() uint64 { return q.curSeq - 1 }

// First returns the sequence of the oldest message kept, or of the next one to
// come.
func (q *Queue) First() uint64 {
	if len(q.chunks) == 0 {
		return q.next
	}
	return q.chunks[0].first
}

// Unsent tells whether there are messages behind the cursor.
func (q *Queue) Unsent() bool {
	n := len(q.chunks)
	return n > 0 && q.curSeq < q.chunks[n-1].end()
}

// Append adds m, of size n, and returns its sequence and its encoded size. The
// error is ErrFull, or says what is wrong with the store; m is not added then.
func (q *Queue) Append(m *logdriver.Message, n wire.Measured) (seq uint64, size int, err error) {
	c, err := q.tail(n.CheckedSize())
	if err != nil {
		return 0, 0, err
	}
	size = c.add(m, n)
	q.count++
	q.bytes += size
	q.next++
	return q.next - 1, size, nil
}

// AppendQuickly is Append where the last block has room and does not check messages. It returns false
// and does nothing otherwise.
func (q *Queue) AppendQuickly(m *logdriver.Message, n wire.Measured) (ok bool) {
	if len(q.chunks) == 0 {
		return false
	}
	c := q.chunks[len(q.chunks)-1]
	size := n.Size()
	if !c.plain || cap(c.buf)-len(c.buf) < size || c.end() != q.next {
		return false
	}
	c.buf = n.AppendEntry(c.buf, m)
	c.count++
	q.count++
	q.bytes += size
	q.next++
	return true
}

// add encodes m, of size n, at the end of c, which has room for it even if it is
// checked.
func (c *chunk) add(m *logdriver.Message, n wire.Measured) (size int) {
	buf := c.buf
	if seed, checked := c.block.Check(); checked {
		buf = n.AppendCheckedEntry(buf, m, seed)
	} else {
		buf = n.AppendEntry(buf, m)
	}
	c.block.Appended(c.end())
	size = len(buf) - len(c.buf)
	c.buf, c.count = buf, c.count+1 // after all that may fault
	return size
}

// tail returns the last chunk if size more bytes fit and nothing is left out behind it,
// else a new one.
func (q *Queue) tail(size int) (*chunk, error) {
	want := minChunkBytes
	if n := len(q.chunks); n > 0 {
		c := q.chunks[n-1]
		if c.end() == q.next && cap(c.buf)-len(c.buf) >= size {
			return c, nil
		}
		want = min(2*cap(c.buf), maxChunkBytes)
	}
	c, err := q.alloc(q.next, want, size)
	if err != nil {
		return nil, err
	}
	if q.left > 0 {
		c.block.Dropped(q.left)
		c.left, q.left = q.left, 0
	}
	q.chunks = append(q.chunks, c)
	return c, nil
}

// alloc returns a chunk for messages from the sequence first on.
func (q *Queue) alloc(first uint64, want, size int) (*chunk, error) {
	block, err := q.store.Alloc(q.stream, first, want, size)
	if err != nil {
		return nil, err
	}
	_, plain := block.(*memoryBlock)
	return &chunk{block: block, buf: block.Room(), first: first, plain: plain}, nil
}

// Take puts messages at the cursor into w, as batches of the given logger, up
// to limit bytes but at least one message if force is set, and none beyond the
// sequence last. It takes parts of blocks, and one to which messages may be added, only where they
// are the first. It moves the cursor behind what it took and returns its encoded size.
func (q *Queue) Take(w *wire.WriteRequest, logger uint64, limit int, force bool, last uint64) int {
	taken := 0
	if q.Unsent() && !q.chunks[q.cur].lends() {
		w.Reserve(max(0, min(limit, q.unsentBytes())))
	}
	for q.Unsent() {
		at, off, seq := q.ahead()
		if seq > last {
			break
		}
		c := q.chunks[at]
		if taken > 0 && !c.whole(at == len(q.chunks)-1, off, limit-taken) {
			break // parts of blocks have to be looked for, and copied
		}
		entries, n := c.cut(off, seq, last, limit-taken, force && taken == 0)
		if n == 0 {
			break
		}
		c.put(w, logger, seq, off, entries)
		taken += len(entries)
		q.cur, q.curOff, q.curSeq = at, off+len(entries), seq+n
	}
	return taken
}

// NextBytes returns the encoded size of the first message behind the cursor, 0 if there
// is none.
func (q *Queue) NextBytes() int {
	if !q.Unsent() {
		return 0
	}
	at, off, _ := q.ahead()
	return entryLen(q.chunks[at].buf[off:])
}

// ahead returns where the first message behind the cursor is, of which there is one.
// The cursor itself stays before what is left out there until the message is taken,
// lest that looks as if it was sent.
func (q *Queue) ahead() (at, off int, seq uint64) {
	if q.curSeq < q.chunks[q.cur].end() {
		return q.cur, q.curOff, q.curSeq
	}
	at = q.cur + 1
	return at, q.chunks[at].off, q.chunks[at].first
}

// lentBytes is the size from which entries are lent rather than copied.
const lentBytes = 4 << 10

// put adds entries, which begin at off, to w.
func (c *chunk) put(w *wire.WriteRequest, logger, seq uint64, off int, entries []byte) {
	b, ok := c.block.(Lender)
	switch {
	case !ok || len(entries) < lentBytes:
		w.AppendBatch(logger, seq, entries)
	case off == 0 && !c.lent:
		c.lent = true
		w.AttachMessage(b.LendBatch(logger, seq, len(entries)))
	default:
		w.AttachBatch(logger, seq, b.Lend(off, len(entries)))
	}
}

// whole tells whether the rest of c from off on fits into size and nothing is going to be added.
func (c *chunk) whole(last bool, off, size int) bool {
	return len(c.buf)-off <= size && (!last || !c.lends())
}

func (c *chunk) lends() bool {
	_, ok := c.block.(Lender)
	return ok
}

// unsentBytes returns about how much is behind the cursor, at least one chunk's
// rest.
func (q *Queue) unsentBytes() int {
	n := 0
	for i, c := range q.chunks[q.cur:] {
		n += len(c.buf)
		if i == 0 {
			n -= q.curOff
		}
		if n >= maxChunkBytes*8 {
			break
		}
	}
	return n
}

// cut returns the entries from the sequence seq on, which begins at off, none
// beyond last and as many as fit into size, but at least one if force is set. It
// returns their number, too.
func (c *chunk) cut(off int, seq, last uint64, size int, force bool) (entries []byte, n uint64) {
	b := c.buf[off:]
	if len(b) <= size && last >= c.end()-1 {
		return b, c.end() - seq
	}
	end := 0
	for end < len(b) && seq+n <= last {
		next := end + entryLen(b[end:])
		if next > size && !(force && n == 0) {
			break
		}
		end = next
		n++
	}
	return b[:end], n
}

// entryLen returns the length of the entry at the front of b, which this
// package has encoded: a tag of one byte, a varint, and the bytes it counts.
func entryLen(b []byte) int {
	size, n := binary.Uvarint(b[1:])
	return 1 + n + int(size)
}

// Ack settles everything up to seq and returns how many messages and bytes
// that removed. Sequences beyond the last one appended settle all there are.
func (q *Queue) Ack(seq uint64) (messages uint64, bytes int) {
	for len(q.chunks) > 0 {
		c := q.chunks[0]
		if seq+1 < c.end() {
			n, size := c.drop(seq)
			messages, bytes = messages+n, bytes+size
			if n > 0 {
				c.block.Settled(seq)
			}
			break
		}
		messages += uint64(c.count)
		bytes += len(c.buf) - c.off
		q.removeFront()
	}
	q.count -= messages
	q.bytes -= bytes
	q.acked = max(q.acked, min(seq, q.next-1))
	if q.curSeq <= q.acked+1 { // nothing that is kept was sent
		q.Rewind()
	}
	return messages, bytes
}

// drop removes the entries up to seq, of which there are fewer than all.
func (c *chunk) drop(seq uint64) (n uint64, size int) {
	for c.first <= seq {
		l := entryLen(c.buf[c.off:])
		c.off += l
		c.first++
		c.count--
		n++
		size += l
	}
	return n, size
}

func (q *Queue) removeFront() {
	c := q.chunks[0]
	c.block.Settled(c.end() - 1)
	c.block.Free()
	q.chunks[0] = nil
	q.chunks = q.chunks[1:]
	if q.cur > 0 {
		q.cur--
	} else {
		q.curOff = 0
		if len(q.chunks) > 0 {
			q.curOff = q.chunks[0].off
		}
	}
	if len(q.chunks) == 0 {
		q.chunks = nil
	}
}

// Rewind moves the cursor to the oldest message kept.
func (q *Queue) Rewind() {
	q.cur, q.curOff, q.curSeq = 0, 0, q.next
	if len(q.chunks) > 0 {
		q.curOff, q.curSeq = q.chunks[0].off, q.chunks[0].first
	}
}

// Leave forgets the messages and leaves their blocks as they are, for the next
// process to recover. The queue must not be used afterwards.
func (q *Queue) Leave() {
	q.chunks, q.cur, q.curOff, q.curSeq, q.count, q.bytes = nil, 0, 0, q.next, 0, 0
}

// Find decodes the message with the sequence seq into m, whose line is its own
// then. It returns false if it is not kept.
func (q *Queue) Find(seq uint64, m *logdriver.Message) bool {
	for _, c := range q.chunks {
		if seq < c.first || seq >= c.end() {
			continue
		}
		off := c.off
		for i := c.first; i < seq; i++ {
			off += entryLen(c.buf[off:])
		}
		return wire.DecodeElement(c.buf[off:off+entryLen(c.buf[off:])], m) == nil
	}
	return false
}

// Release gives all buffers back. The queue must not be used afterwards.
func (q *Queue) Release() {
	for len(q.chunks) > 0 {
		q.removeFront()
	}
	q.Leave()
}
