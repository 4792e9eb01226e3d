package launch

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxLineBytes bounds a line of a driver's output; the rest of a longer one is
// counted and thrown away.
const maxLineBytes = 64 << 10

// splitter cuts a stream of bytes into lines. It holds at most maxLineBytes.
type splitter struct {
	// emit gets each line without its terminator, and the number of bytes that
	// were cut from its end. It must not keep line.
	emit func(line []byte, cut int)

	buf []byte
	cut int
}

// Write implements io.Writer. It never fails.
func (s *splitter) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			s.keep(p)
			break
		}
		if len(s.buf) == 0 && s.cut == 0 && end <= maxLineBytes {
			s.emit(trimCR(p[:end]), 0) // the common case needs no copy
		} else {
			s.keep(p[:end])
			s.flush()
		}
		p = p[end+1:]
	}
	return n, nil
}

func (s *splitter) keep(p []byte) {
	room := min(maxLineBytes-len(s.buf), len(p))
	s.buf = append(s.buf, p[:room]...)
	s.cut += len(p) - room
}

func (s *splitter) flush() {
	s.emit(trimCR(s.buf), s.cut)
	s.buf, s.cut = s.buf[:0], 0
}

// Close emits a last line that has no terminator. It never fails.
func (s *splitter) Close() error {
	if len(s.buf) > 0 || s.cut > 0 {
		s.flush()
	}
	return nil
}

func trimCR(b []byte) []byte { return bytes.TrimSuffix(b, []byte{'\r'}) }

// clean makes bytes from a driver fit for a log or a terminal: control
// characters and what is not UTF-8 are escaped.
func clean(b []byte) string {
	if printable(b) {
		return string(b)
	}
	var out strings.Builder
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&out, `\x%02x`, b[0])
		case r == '\t' || unicode.IsPrint(r):
			out.WriteRune(r)
		case r < 0x80:
			fmt.Fprintf(&out, `\x%02x`, r)
		default:
			fmt.Fprintf(&out, `\u%04x`, r)
		}
		b = b[n:]
	}
	return out.String()
}

func printable(b []byte) bool {
	for _, c := range b {
		if (c < ' ' && c != '\t') || c >= 0x7f {
			return false
		}
	}
	return true
}
