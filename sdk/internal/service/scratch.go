package service

import (
	"github.com/logplug/logplug/shared/logdriver"
	"github.com/logplug/logplug/shared/wire"
)

// Bounds of what a driver is handed at once.
const (
	maxBatchMessages = 8192
	maxBatchBytes    = 1 << 20
)

// slab bounds how many messages are allocated together.
const (
	minSlab = 16
	maxSlab = 512
)

// scratch is what a worker needs while it runs: the batches that it took from
// its logger's queue and the messages that it decodes them into.
type scratch struct {
	dec    wire.Decoder
	chunks []chunk              // oldest first; each with what is not settled of it
	msgs   []*logdriver.Message // reused
	view   []*logdriver.Message // what the driver is handed: it may reorder it
	size   int                  // in bytes, of what the last decoding was of
	rest   wire.Batch           // of the chunk that the last decoding stopped in
}

// decode decodes what is at the front of chunks, within the bounds and at most
// most messages, and returns their number. It returns an error and 0 if the very first entry is
// malformed; a later one ends the batch before it.
func (s *scratch) decode(most int) (int, error) {
	n := 0
	s.size = 0
	for i := range s.chunks {
		s.rest = s.chunks[i].batch
		first := n
		for s.rest.Count > 0 {
			if n == most || s.size >= maxBatchBytes {
				return n, nil
			}
			left := s.rest.Size
			_, err := s.rest.Next(&s.dec, s.message(n))
			if err != nil && n == 0 {
				return 0, err
			}
			if err != nil {
				s.rest = s.chunks[i].batch // to what is before this entry
				s.rest.Skip(n - first)
				return n, nil
			}
			s.size += left - s.rest.Size
			n++
		}
	}
	return n, nil
}

// message returns the empty message with index i.
func (s *scratch) message(i int) *logdriver.Message {
	if i == len(s.msgs) {
		slab := make([]logdriver.Message, min(max(minSlab, i), maxSlab))
		for j := range slab {
			s.msgs = append(s.msgs, &slab[j])
		}
	}
	m := s.msgs[i]
	m.Reset()
	return m
}

// offer returns the first n messages in a slice of the driver's own.
func (s *scratch) offer(n int) []*logdriver.Message {
	s.view = append(s.view[:0], s.msgs[:n]...)
	return s.view
}

// covers tells whether n entries are all that there are.
func (s *scratch) covers(n int) bool {
	for i := range s.chunks {
		n -= s.chunks[i].batch.Count
	}
	return n == 0
}

// seq returns the sequence of the i-th entry that is not settled.
func (s *scratch) seq(i int) uint64 {
	for j := range s.chunks {
		b := &s.chunks[j].batch
		if i < b.Count {
			return b.FirstSeq + uint64(i)
		}
		i -= b.Count
	}
	return 0
}

// settle takes n entries off the front and frees what they lay in. all tells that
// n is the result of the last decode. It returns the last sequence and the
// number of bytes that the entries took.
func (s *scratch) settle(n int, all bool) (last uint64, bytes int) {
	done := 0 // chunks
	for n > 0 {
		c := &s.chunks[done]
		b := &c.batch
		k := min(n, b.Count)
		n -= k
		last = b.FirstSeq + uint64(k) - 1
		size := b.Size
		switch {
		case k == b.Count:
			c.free()
			done++
		case all:
			*b = s.rest
			bytes -= b.Size
		default:
			b.Skip(k)
			bytes -= b.Size
		}
		bytes += size
	}
	s.drop(done)
	return last, bytes
}

// drop forgets the first n chunks, which were freed.
func (s *scratch) drop(n int) {
	if n == 0 {
		return
	}
	kept := copy(s.chunks, s.chunks[n:])
	clear(s.chunks[kept:])
	s.chunks = s.chunks[:kept]
}

// shrink lets go of many messages before a wait that may be long: there may be
// as many waiting workers as there are loggers.
func (s *scratch) shrink() {
	if len(s.msgs) > maxSlab {
		s.msgs, s.view = nil, nil
	}
}

// abandon frees everything that is left.
func (s *scratch) abandon() {
	for i := range s.chunks {
		s.chunks[i].free()
	}
	s.drop(len(s.chunks))
}
