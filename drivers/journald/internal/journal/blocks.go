package journal

import "io"

const (
	blockBytes = 16 << 10
	blockCount = 16
)

// blocks caches parts of a file between two refreshes. What is in it may be
// older than what was written since.
type blocks struct {
	slots [blockCount]block
}

type block struct {
	number uint64 // from 1; 0 means empty
	n      int
	data   []byte
}

// get returns n bytes, or nil if they are not within one block of the file.
func (c *blocks) get(r io.ReaderAt, off uint64, n int) []byte {
	number, start := off/blockBytes, int(off%blockBytes)
	if start+n > blockBytes {
		return nil
	}
	b := &c.slots[number%blockCount]
	if b.number != number+1 {
		if b.data == nil {
			b.data = make([]byte, blockBytes)
		}
		b.n, _ = r.ReadAt(b.data, int64(number*blockBytes)) // short at the end of the file
		b.number = number + 1
	}
	if start+n > b.n {
		return nil
	}
	return b.data[start : start+n]
}

// drop forgets everything.
func (c *blocks) drop() {
	for i := range c.slots {
		c.slots[i].number = 0
	}
}
