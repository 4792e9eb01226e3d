package importer

import (
	"encoding/binary"
	"errors"
	"io"
	"time"

	"github.com/logplug/logplug/host/cmd/logplug/internal/docker/frame"
)

// maxFrame is the most that a record's message may have: Docker's own limit is a
// megabyte (daemon/logger/local).
const maxFrame = frame.MaxBytes

// trailerBytes is the size of the length behind each message.
const trailerBytes = 4

// localDecoder decodes the records of Docker's local driver: the length of a message as
// 32 bits, big-endian, the message (see package frame), and the length again.
type localDecoder struct{}

func (d *localDecoder) next(in *input, e *entry) error {
	for {
		n, err := d.decode(in, e)
		switch {
		case err == nil:
			in.take(n)
			return nil
		case !errors.Is(err, frame.ErrCorrupt):
			return err
		}
		in.skip(n)
	}
}

// decode decodes the record at the front, of n bytes, and consumes nothing. With
// frame.ErrCorrupt, n bytes are to be skipped: no byte tells where a record begins, so the
// next one is where lengths and fields agree.
func (d *localDecoder) decode(in *input, e *entry) (n int, err error) {
	head, err := in.peek(frame.HeaderBytes)
	if err != nil {
		return 0, in.end(err, len(head))
	}
	size := binary.BigEndian.Uint32(head)
	if size == 0 || size > maxFrame {
		return 1, frame.ErrCorrupt
	}
	whole := frame.HeaderBytes + int(size) + trailerBytes
	b, err := in.peek(whole)
	if errors.Is(err, io.EOF) {
		// It may be incomplete, or the length is wrong and records follow.
		if n := following(b); n > 0 {
			return n, frame.ErrCorrupt
		}
		return 0, in.end(err, len(b))
	}
	if err != nil {
		return 0, err
	}
	if binary.BigEndian.Uint32(b[whole-trailerBytes:]) != size {
		return 1, frame.ErrCorrupt
	}
	rec, _, err := frame.Next(b[:whole-trailerBytes])
	if err != nil {
		return 1, err
	}
	*e = entry{
		line: rec.Line, source: string(rec.Source), time: time.Unix(0, rec.TimeNano).UTC(),
		more: rec.Partial && !rec.Last,
	}
	return whole, nil
}

// following returns where the first whole record behind the front of b begins, 0 if
// there is none.
func following(b []byte) int {
	for i := 1; i+frame.HeaderBytes < len(b); i++ {
		size := binary.BigEndian.Uint32(b[i:])
		end := i + frame.HeaderBytes + int(size)
		if size == 0 || size > maxFrame || end+trailerBytes > len(b) || binary.BigEndian.Uint32(b[end:]) != size {
			continue
		}
		if _, n, err := frame.Next(b[i:end]); err == nil && n > 0 {
			return i
		}
	}
	return 0
}
