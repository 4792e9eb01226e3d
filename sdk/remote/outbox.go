package remote

import (
	"math"
	"time"
)

// outbox holds frames, oldest first: those that were acknowledged and would be
// sent again if the connection broke now, then those that are not acknowledged.
// Positions count all bytes that were ever added.
type outbox struct {
	buf   []byte
	off   int   // of base in buf
	base  int64 // the position of the oldest byte that is held
	marks []mark
	spare []mark // the whole array that marks is the end of

	acked     int   // frames that were acknowledged, from the oldest
	confirmed int   // frames that the peer has confirmed on this connection
	written   int64 // the position up to which this connection was given everything
}

// mark is the end of a frame.
type mark struct {
	end int64
	at  time.Time // when it was last confirmed
}

// end returns the position after the last byte.
func (b *outbox) end() int64 { return b.base + int64(len(b.buf)-b.off) }

// add appends frames; ends are the offsets in p after each.
func (b *outbox) add(p []byte, ends []int) {
	start := b.end()
	b.buf = append(b.buf, p...)
	for _, e := range ends {
		b.spare = append(b.spare, mark{end: start + int64(e)})
	}
	b.marks = b.spare[len(b.spare)-len(b.marks)-len(ends):]
}

// bytes returns what is held from the position from on, up to the position to.
func (b *outbox) bytes(from, to int64) []byte {
	return b.buf[b.off+int(from-b.base) : b.off+int(to-b.base)]
}

// unwritten returns what the connection was not given yet.
func (b *outbox) unwritten() []byte { return b.bytes(b.written, b.end()) }

// pending returns the number of frames that are not acknowledged.
func (b *outbox) pending() int { return len(b.marks) - b.acked }

// owed tells that frames were acknowledged and this connection has not confirmed them.
func (b *outbox) owed() bool { return b.confirmed < b.acked }

// complete tells that everything was confirmed on this connection.
func (b *outbox) complete() bool { return b.confirmed == len(b.marks) }

// nextFrame returns the first frame that is not written; nil if there is none.
func (b *outbox) nextFrame() []byte {
	lo, hi := b.confirmed, len(b.marks)
	for lo < hi { // the first mark that ends after what is written
		mid := (lo + hi) / 2
		if b.marks[mid].end > b.written {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	if lo == len(b.marks) {
		return nil
	}
	return b.bytes(b.written, b.marks[lo].end)
}

// rewind begins anew on another connection.
func (b *outbox) rewind() { b.confirmed, b.written = 0, b.base }

// confirm records that the peer has everything up to a position, and tells
// whether that is news.
func (b *outbox) confirm(pos int64, now time.Time) bool {
	before := b.confirmed
	for b.confirmed < len(b.marks) && b.marks[b.confirmed].end <= pos {
		b.marks[b.confirmed].at = now
		b.confirmed++
	}
	b.acked = max(b.acked, b.confirmed)
	return b.confirmed > before
}

// trim lets go of acknowledged frames: the oldest beyond a number of bytes, and
// those that were confirmed before a time. What this connection has not
// confirmed again is kept.
func (b *outbox) trim(most int, before time.Time) {
	drop := 0
	ackedEnd := b.base
	if b.acked > 0 {
		ackedEnd = b.marks[b.acked-1].end
	}
	start := b.base
	for drop < min(b.acked, b.confirmed) && (ackedEnd-start > int64(most) || b.marks[drop].at.Before(before)) {
		start = b.marks[drop].end
		drop++
	}
	b.drop(drop)
}

// expire lets go of acknowledged frames that this connection has confirmed, before
// a time. Those that an earlier one may have lost are kept until one confirms them.
func (b *outbox) expire(before time.Time) { b.trim(math.MaxInt, before) }

// drop forgets the n oldest frames.
func (b *outbox) drop(n int) {
	if n == 0 {
		return
	}
	end := b.marks[n-1].end
	b.off += int(end - b.base)
	b.base = end
	b.marks = b.marks[n:]
	if len(b.marks) <= len(b.spare)/2 {
		b.spare = append(b.spare[:0], b.marks...)
		b.marks = b.spare
	}
	b.acked, b.confirmed = max(b.acked-n, 0), max(b.confirmed-n, 0)
	b.written = max(b.written, end)
	switch {
	case b.off == len(b.buf):
		b.buf, b.off = b.buf[:0], 0
	case b.off > len(b.buf)/2:
		b.buf, b.off = append(b.buf[:0], b.buf[b.off:]...), 0
	}
}

// forget removes the frames that are not acknowledged.
func (b *outbox) forget() {
	end := b.base
	if b.acked > 0 {
		end = b.marks[b.acked-1].end
	}
	b.buf = b.buf[:b.off+int(end-b.base)]
	b.spare = b.spare[:len(b.spare)-(len(b.marks)-b.acked)]
	b.marks = b.marks[:b.acked]
	b.confirmed, b.written = min(b.confirmed, b.acked), min(b.written, end)
}

// release gives the memory of an empty box back.
func (b *outbox) release() {
	if len(b.marks) == 0 {
		b.buf, b.marks, b.spare, b.off = nil, nil, nil, 0
	}
}
