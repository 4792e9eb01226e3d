package spool

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/logplug/logplug/shared/wire"
)

// Run is a stretch of consecutive messages of one stream that an earlier process
// left in an arena.
type Run struct {
	Stream Stream
	// First is the sequence of the first message, Count their number: none if
	// the run tells of damage at the end of a block.
	First uint64
	Count int
	// Damaged is the number of entries right before First that were accepted and
	// are lost for their checksums.
	Damaged uint64
	// Dropped is the number of messages before the block's first one that were
	// dropped on purpose; the block tells of them.
	Dropped uint64

	block *sharedBlock
	buf   []byte // up to the end of the last message
	off   int    // where the first begins
}

// sharedBlock is a block whose runs free it together.
type sharedBlock struct {
	*arenaBlock
	runs int
}

// Free implements Block.
func (b *sharedBlock) Free() {
	if b.runs--; b.runs == 0 {
		b.arenaBlock.Free()
	}
}

// Settled implements Block. Runs of a block are settled in order.
func (b *sharedBlock) Settled(seq uint64) { b.arenaBlock.Settled(seq) }

// recover finds the blocks that are in use and their messages.
func (a *Arena) recover() []Run {
	var runs []Run
	pages := len(a.mem) / pageBytes
	for page, free := 1, 1; page < pages; page++ {
		b, stream, first, ok := a.blockAt(page, free)
		if !ok {
			continue
		}
		a.take(b.page, b.pages)
		free = b.page + b.pages
		page = free - 1
		a.grown = free
		found := b.scan(stream, first)
		if len(found) == 0 {
			b.Free()
		}
		runs = append(runs, found...)
	}
	a.next = 1
	slices.SortFunc(runs, func(x, y Run) int {
		return cmp.Or(slices.Compare(x.Stream[:], y.Stream[:]), cmp.Compare(x.First, y.First), cmp.Compare(x.Count, y.Count))
	})
	return runs
}

// blockAt returns the block that begins with page or, where its header is damaged,
// ends with it. It does not reach before the page free.
func (a *Arena) blockAt(page, free int) (b *arenaBlock, stream Stream, first uint64, ok bool) {
	mem := a.mem[page*pageBytes:][:pageBytes]
	h := mem[:headerBytes]
	n, ok := a.headerPages(h)
	if !ok {
		h = mem[pageBytes-headerBytes:]
		if n, ok = a.headerPages(h); ok {
			page -= n - 1
		}
	}
	if !ok || page < free || page+n > len(a.mem)/pageBytes {
		return nil, stream, 0, false
	}
	copy(stream[:], h[offStream:])
	le := binary.LittleEndian
	b = &arenaBlock{arena: a, page: page, pages: n, seed: a.seed(le.Uint32(h[offGeneration:]))}
	return b, stream, le.Uint64(h[offFirst:]), true
}

// headerPages returns the length of the block whose header h is.
func (a *Arena) headerPages(h []byte) (n int, ok bool) {
	le := binary.LittleEndian
	if le.Uint32(h[offMagic:]) != blockMagic || le.Uint32(h[offHeaderSum:]) != a.headerSum(h) {
		return 0, false
	}
	n = int(le.Uint32(h[offPages:]))
	return n, n > 0 && n <= len(a.mem)/pageBytes
}

// scan finds the entries that are intact and not settled. An entry that is
// damaged is stepped over as long as intact ones follow it.
func (b *arenaBlock) scan(stream Stream, first uint64) []Run {
	shared := &sharedBlock{arenaBlock: b}
	var (
		runs    []Run
		open    *Run
		damaged uint64
	)
	mem := b.memory()
	mem = mem[:len(mem)-headerBytes]
	settled, seq := b.settled(), first
	for off := headerBytes; off < len(mem); seq++ {
		n, ok := wire.CheckedEntry(mem[off:], b.seed)
		if !ok {
			open = nil
			if n, ok = b.skip(mem[off:]); !ok {
				break
			}
			off += n
			if seq > settled {
				damaged++
			}
			continue
		}
		off += n
		if seq <= settled {
			continue
		}
		if open == nil {
			runs = append(runs, Run{Stream: stream, First: seq, Damaged: damaged, block: shared, off: off - n})
			open, damaged = &runs[len(runs)-1], 0
		}
		open.Count++
		open.buf = mem[:off:off]
	}
	if last, ok := b.getSeq(b.memory()[offLast:]); ok && last >= max(seq, settled+1) {
		runs = append(runs, Run{Stream: stream, First: last + 1, Damaged: last + 1 - max(seq-damaged, settled+1), block: shared})
	}
	if len(runs) > 0 {
		runs[0].Dropped = b.dropped(first)
	}
	shared.runs = len(runs)
	return runs
}

// skip returns the length of a damaged entry, if its length leads to an
// intact one.
func (b *arenaBlock) skip(mem []byte) (n int, ok bool) {
	if len(mem) < 2 {
		return 0, false
	}
	size, m := binary.Uvarint(mem[1:])
	if m <= 0 || size > uint64(wire.MaxEntryBytes) || 1+m+int(size) >= len(mem) {
		return 0, false
	}
	n = 1 + m + int(size)
	_, ok = wire.CheckedEntry(mem[n:], b.seed)
	return n, ok
}

// Restore returns a queue with the messages of runs, which are those of one
// stream in order. lost is the number of messages missing between them, without
// those that were dropped on purpose.
func Restore(store Store, runs []Run) (q *Queue, lost uint64) {
	q = New(store, runs[0].Stream)
	q.acked = runs[0].First - 1
	for i := range runs {
		r := &runs[i]
		switch {
		case i == 0:
			lost += r.Damaged
		case r.First > q.next:
			gap := r.First - q.next
			lost += gap - min(gap, r.Dropped)
		}
		q.restore(r)
	}
	q.Rewind()
	return q, lost
}

// restore adds the messages of r. It leaves out what the queue has: where a loss of power
// has brought dropped messages back, what tells that they were dropped is in their way.
func (q *Queue) restore(r *Run) {
	c := &chunk{block: r.block, buf: r.buf, first: r.First, count: r.Count, off: r.off}
	if r.Count == 0 || c.end() <= q.next {
		q.next = max(q.next, r.First)
		r.block.Free()
		return
	}
	if r.First < q.next {
		c.drop(q.next - 1)
	}
	if r.Dropped > 0 {
		c.left = r.First - r.Damaged - r.Dropped
	}
	q.chunks = append(q.chunks, c)
	q.next = c.end()
	q.count += uint64(c.count)
	q.bytes += len(c.buf) - c.off
}

// Discard frees the blocks of runs that nobody will deliver, and returns how
// many messages that gives up.
func Discard(runs []Run) (messages uint64) {
	for i := range runs {
		messages += uint64(runs[i].Count)
		runs[i].block.Free()
	}
	return messages
}
