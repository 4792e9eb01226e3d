//go:build linux

package carry

import (
	"sync/atomic"
	"unsafe"
)

// state is where a stream is. It is changed in one step: a copy is written, then
// made the current one.
type state struct {
	half       uint64 // which half of the stream's buffer is in use
	start, end uint64 // what is read and not logged
	window     uint64 // room behind end that a read may be filling; 0 when none is
	ordinal    uint64 // parts of the current line that were logged
	time       int64  // of these parts, Unix nanoseconds
	id         [16]byte
}

// cell is a stream's part of the header.
type cell struct {
	current atomic.Uint64 // index in states
	states  [2]state
}

// intent tells that a message is being logged.
type intent struct {
	stream atomic.Uint64 // index of the stream plus 1; 0 when nothing is being logged
	half   uint64
	start  uint64 // the stream's state at that moment
	last   uint64 // the logger's position then
}

// header is the beginning of the memory.
type header struct {
	magic  atomic.Uint64
	size   uint64 // lines that are longer are split
	fill   uint64 // seed of the fill
	logger [16]byte
	intent intent
	cells  [streams]cell
}

// The layout: the header, then for each stream two halves.
const (
	magic       = 0x3179727261636c70 // "plcarry1"
	streams     = 2
	headerBytes = 4 << 10
	halfBytes   = 64 << 10
	totalBytes  = headerBytes + streams*2*halfBytes
	// MaxLine is the longest line, in bytes, that is not split: a half holds one and
	// what is read behind it.
	MaxLine = halfBytes / 2
)

// The header fits into its page.
var _ [headerBytes - unsafe.Sizeof(header{})]byte

func (c *cell) get() state { return c.states[c.current.Load()&1] }

func (c *cell) set(s state) {
	next := c.current.Load()&1 ^ 1
	c.states[next] = s
	c.current.Store(next)
}

// valid tells whether s can be true. The memory comes from another process.
func (s *state) valid() bool {
	return s.half <= 1 && s.start <= s.end && s.end <= halfBytes && s.window <= halfBytes-s.end
}
