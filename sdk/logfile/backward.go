package logfile

import (
	"errors"
	"io"
)

// The first block that is read backwards is small, for what is asked for most is the
// last few records; each further one is twice as large, up to backwardBytes.
const (
	firstBackwardBytes = 4 << 10
	backwardBytes      = 64 << 10
)

// backward cuts a file into frames from its end towards its beginning.
type backward struct {
	framing Framing
	src     io.ReaderAt
	buf     []byte // the bytes of the file from lo on, up to where frames were taken
	lo      int64
	block   int // bytes to read next
}

func newBackward(f Framing, src io.ReaderAt, end int64) *backward {
	return &backward{framing: f, src: src, lo: end, block: firstBackwardBytes}
}

// prev returns the frame before, io.EOF at the beginning of the file.
func (b *backward) prev() (frame, error) {
	for {
		if i := b.framing.Last(b.buf); i >= 0 {
			return b.take(i), nil
		}
		if b.lo == 0 {
			if len(b.buf) == 0 {
				return frame{}, io.EOF
			}
			return b.take(0), nil
		}
		if len(b.buf) >= MaxFrameBytes {
			if err := b.skip(); err != nil {
				return frame{}, err
			}
			continue
		}
		if err := b.extend(); err != nil {
			return frame{}, err
		}
	}
}

func (b *backward) take(i int) frame {
	f := frame{data: b.buf[i:], off: b.lo + int64(i)}
	b.buf = b.buf[:i]
	return f
}

func (b *backward) extend() error {
	n := int(min(b.lo, int64(max(b.block, len(b.buf)))))
	b.block = min(2*b.block, backwardBytes)
	grown := make([]byte, n+len(b.buf))
	if err := b.read(grown[:n], b.lo-int64(n)); err != nil {
		return err
	}
	copy(grown[n:], b.buf)
	b.buf, b.lo = grown, b.lo-int64(n)
	return nil
}

// read fills p. A file that has become shorter does not end at its beginning.
func (b *backward) read(p []byte, off int64) error {
	_, err := b.src.ReadAt(p, off)
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// skip passes over a frame that is too long to be held.
func (b *backward) skip() error {
	b.buf = b.buf[:1] // the end of a frame can be told from its surroundings only
	for b.lo > 0 {
		n := int(min(b.lo, backwardBytes))
		block := make([]byte, n+1)
		if err := b.read(block[:n], b.lo-int64(n)); err != nil {
			return err
		}
		block[n] = b.buf[0]
		b.lo -= int64(n)
		if i := b.framing.Last(block); i >= 0 {
			b.buf = block[:i]
			return nil
		}
		b.buf = block[:1]
	}
	b.buf = nil
	return nil
}
