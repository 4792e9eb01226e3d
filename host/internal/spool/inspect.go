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

// Sending returns how many of the messages before the cursor are kept.
func (q *Queue) Sending() (messages uint64) {
	for _, c := range q.chunks {
		if c.first < q.curSeq {
			messages += min(c.end(), q.curSeq) - c.first
		}
	}
	return messages
}

// BytesBetween returns the encoded size of the messages kept behind the sequence
// after, up to last.
func (q *Queue) BytesBetween(after, last uint64) (bytes int) {
	for _, c := range q.chunks {
		off := c.off
		for at := c.first; at < c.end() && at <= last; at++ {
			size := entryLen(c.buf[off:])
			off += size
			if at > after {
				bytes += size
			}
		}
	}
	return bytes
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
