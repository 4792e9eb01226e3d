package logfile

import (
	"bytes"
	"errors"
	"io"
)

// headBytes of a file tell it from one with other contents.
const headBytes = 64

// beginning is how a file that is followed begins. Where it begins in another way, another
// program has truncated it, whatever was written to it since.
type beginning struct {
	g    *generation
	head []byte // when it was last looked at, nil if that is not known
}

// same tells cheaply whether the file begins as it did.
func (b *beginning) same() bool {
	if len(b.head) == 0 {
		return true
	}
	now, err := readHead(b.g, int64(len(b.head)))
	return err == nil && bytes.Equal(now, b.head)
}

// look returns from where on a file of which off bytes were read is not the same any more,
// -1 if it is, and remembers how it begins.
func (b *beginning) look(off int64) (int64, error) {
	for {
		now, err := readHead(b.g, off)
		if err != nil {
			return -1, err
		}
		size, err := b.g.sizeNow()
		switch {
		case err != nil:
			return -1, err
		case size < off:
			return b.shorter(size)
		case len(now) < int(min(headBytes, off)):
			continue // it was shorter for a moment
		case !bytes.HasPrefix(now, b.head):
			b.head = nil
			return 0, nil
		}
		b.head = now
		return -1, nil
	}
}

// shorter is look for a file of which more was read than there is.
func (b *beginning) shorter(size int64) (int64, error) {
	now, err := readHead(b.g, size)
	if err != nil || len(now) > 0 && bytes.HasPrefix(b.head, now) {
		return -1, err // the writer took back what it could not make durable, and writes it again
	}
	b.head = nil
	return size, nil
}

// sizeNow returns how large g, which is not compressed, is.
func (g *generation) sizeNow() (int64, error) {
	fi, err := g.f.Stat()
	if err != nil {
		return 0, err
	}
	return fi.Size(), nil
}

// readHead returns the first bytes of g, at most limit.
func readHead(g *generation, limit int64) ([]byte, error) {
	b := make([]byte, min(limit, headBytes))
	n, err := g.f.ReadAt(b, 0)
	if errors.Is(err, io.EOF) {
		err = nil // fewer bytes make another head, as they should
	}
	return b[:n], err
}
