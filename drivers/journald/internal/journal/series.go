package journal

import (
	"encoding/binary"
	"sort"
)

// series are the entries of one file that contain one field, in the order in
// which they were written.
type series struct {
	f      *file
	data   uint64 // offset of the data object
	first  uint64 // offset of the first entry
	count  uint64 // entries as of the last refresh
	chain  uint64 // offset of the first array
	arrays []array
}

// array is one of the arrays that list the entries after the first one.
type array struct {
	off   uint64
	start uint64 // index of its first item in the series
	room  uint64 // items that fit
}

// refresh looks how many entries there are now. journald counts an entry when it
// has written everything that leads to it. So the number is read before anything
// else, and what was read of the file before is not used.
func (s *series) refresh() error {
	var before [8]byte
	if err := s.f.fresh(s.data+56, before[:]); err != nil {
		return err
	}
	var b [24]byte // offset of the first entry, of the first array, number of entries
	if err := s.f.fresh(s.data+40, b[:]); err != nil {
		return err
	}
	// The lower of both, as a number may change while it is copied.
	count := min(binary.LittleEndian.Uint64(before[:]), binary.LittleEndian.Uint64(b[16:]))
	if count < s.count {
		return s.f.damaged(s.data, "a number of entries that has become less")
	}
	s.first, s.chain, s.count = binary.LittleEndian.Uint64(b[:]), binary.LittleEndian.Uint64(b[8:]), count
	s.f.cache.drop()
	return nil
}

// entry reads the entry with index i, which is below count.
func (s *series) entry(i uint64, e *Entry) error {
	off, err := s.offset(i)
	if err != nil {
		return err
	}
	return s.f.entry(off, e)
}

func (s *series) offset(i uint64) (uint64, error) {
	if i == 0 {
		return s.first, nil
	}
	for n := len(s.arrays); n == 0 || i >= s.arrays[n-1].start+s.arrays[n-1].room; n++ {
		if err := s.extend(); err != nil {
			return 0, err
		}
	}
	n := sort.Search(len(s.arrays), func(n int) bool { return s.arrays[n].start > i }) - 1
	a, width := s.arrays[n], s.arrayItemLen()
	b, err := s.f.at(a.off+arrayHeaderLen+(i-a.start)*width, int(width))
	if err != nil {
		return 0, err
	}
	if s.f.compact {
		return uint64(binary.LittleEndian.Uint32(b)), nil
	}
	return binary.LittleEndian.Uint64(b), nil
}

func (s *series) arrayItemLen() uint64 {
	if s.f.compact {
		return 4
	}
	return 8
}

// extend finds the next array of the chain.
func (s *series) extend() error {
	off, start, last := s.chain, uint64(1), uint64(0)
	if n := len(s.arrays); n > 0 {
		a := s.arrays[n-1]
		var b [8]byte
		if err := s.f.fresh(a.off+objectHeaderLen, b[:]); err != nil {
			return err
		}
		off, start, last = binary.LittleEndian.Uint64(b[:]), a.start+a.room, a.off
	}
	if off <= last {
		return s.f.damaged(s.data, "a chain of entries that ends too early or does not ascend")
	}
	_, size, err := s.f.object(off, objectEntryArray, arrayHeaderLen+s.arrayItemLen())
	if err != nil {
		return err
	}
	s.arrays = append(s.arrays, array{off, start, (size - arrayHeaderLen) / s.arrayItemLen()})
	return nil
}

// search returns the first index in [0, count) for which after is true, or count,
// by bisection.
func (s *series) search(after func(*Entry) bool) (uint64, error) {
	var first error
	lo, hi := uint64(0), s.count
	for lo < hi {
		mid := lo + (hi-lo)/2
		var e Entry
		err := s.entry(mid, &e)
		if err != nil && first == nil {
			first = err
		}
		// From a damaged entry the search goes on towards the beginning: it
		// returns too much rather than too little.
		if err != nil || after(&e) {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return lo, first
}
