package spool

import (
	"time"

	"github.com/logplug/logplug/shared/wire"
)

// Oldest returns the time of the oldest message kept, or the zero time if there
// is none.
func (q *Queue) Oldest() time.Time {
	for _, c := range q.chunks {
		if c.count > 0 {
			return wire.ElementTime(c.buf[c.off:])
		}
	}
	return time.Time{}
}

// Measure returns how many of the messages with the given sequences, which
// ascend, are kept, and their encoded size.
func (q *Queue) Measure(seqs []uint64) (messages uint64, bytes int) {
	for _, c := range q.chunks {
		for len(seqs) > 0 && seqs[0] < c.first {
			seqs = seqs[1:]
		}
		off := c.off
		for at := c.first; len(seqs) > 0 && seqs[0] < c.end(); at++ {
			size := entryLen(c.buf[off:])
			off += size
			if at == seqs[0] {
				messages, bytes, seqs = messages+1, bytes+size, seqs[1:]
			}
		}
	}
	return messages, bytes
}
