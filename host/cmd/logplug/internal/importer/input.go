package importer

import (
	"bufio"
	"errors"
	"io"
)

const (
	// maxRecord is the most that a record may have, in bytes: escaped, a line can be six
	// times as long as it is.
	maxRecord = 16 << 20
	// bufferBytes holds a whole record of Docker's local driver.
	bufferBytes = maxFrame + 64<<10
)

// input is an uncompressed file that is being decoded.
type input struct {
	r      *bufio.Reader
	offset int64 // of what comes next

	damage Damage
	broken bool // the bytes before were damaged too
	line   []byte
}

// Damage is what was skipped.
type Damage struct {
	Places int   `json:"places"` // at which something was skipped
	Bytes  int64 `json:"bytes"`
}

func newInput(r io.Reader) *input { return &input{r: bufio.NewReaderSize(r, bufferBytes)} }

// peek returns the next n bytes, or fewer with the reason.
func (in *input) peek(n int) ([]byte, error) { return in.r.Peek(n) }

// take consumes n bytes that were peeked.
func (in *input) take(n int) {
	_, _ = in.r.Discard(n) // they are buffered
	in.offset += int64(n)
	in.broken = false
}

// skip consumes n bytes that were peeked and are damaged.
func (in *input) skip(n int) {
	_, _ = in.r.Discard(n)
	in.lose(int64(n))
}

func (in *input) lose(n int64) {
	in.offset += n
	in.damage.Bytes += n
	if !in.broken {
		in.damage.Places++
	}
	in.broken = true
}

// next returns the next line with its newline. A line that is longer than maxRecord is
// skipped. At the end it returns io.EOF, and consumes nothing of an incomplete line.
func (in *input) next() ([]byte, error) {
	for {
		line, err := in.r.ReadSlice('\n')
		if err == nil {
			return line, nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			in.line = append(in.line[:0], line...)
			return nil, in.end(err, len(line))
		}
		in.line = append(in.line[:0], line...)
		line, err = in.long()
		if line != nil || err != nil {
			return line, err
		}
	}
}

// long reads the rest of a line that begins in in.line. It returns none if that was
// too long.
func (in *input) long() ([]byte, error) {
	size := int64(len(in.line))
	for {
		line, err := in.r.ReadSlice('\n')
		size += int64(len(line))
		if size <= maxRecord {
			in.line = append(in.line, line...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case err != nil:
			return nil, in.end(err, int(size))
		case size > maxRecord:
			in.lose(size)
			return nil, nil
		default:
			return in.line, nil
		}
	}
}

// incompleteError tells that a file ends within a record.
type incompleteError struct{ bytes int }

func (e *incompleteError) Error() string { return "the file ends within a record" }
func (e *incompleteError) Unwrap() error { return io.EOF }

func (in *input) end(err error, left int) error {
	if errors.Is(err, io.EOF) && left > 0 {
		return &incompleteError{left}
	}
	return err
}

// taken tells that a line was consumed.
func (in *input) taken(line []byte) {
	in.offset += int64(len(line))
	in.broken = false
}
