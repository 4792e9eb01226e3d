package host

import (
	"bytes"
	"crypto/rand"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/logplug/logplug/shared/logdriver"
)

// splitter cuts a stream of bytes into messages: one for a line, or several
// parts for a line that is longer than size. Only "\n" ends a line, and only
// "\n" is removed.
//
// A message is given to emit as soon as its end is known. A part that fills size
// exactly is held back until another byte arrives, because it may turn out to
// be the whole line, or the last part of it. It is not safe for concurrent use.
type splitter struct {
	source string
	size   int // at least 1
	emit   func(*logdriver.Message)

	cur  *logdriver.Message // what is held back; nil if nothing is
	now  time.Time          // when the bytes at hand were read
	part logdriver.Partial  // the last part given to emit; zero outside a split line
	time time.Time          // the timestamp of the parts of a split line
}

// newSplitter returns a splitter for messages that go to l.
func newSplitter(l logdriver.Logger, source string, emit func(*logdriver.Message)) *splitter {
	return &splitter{source: validSource(source), size: lineSize(l), emit: emit}
}

// write takes bytes that were read at now. It keeps no reference to p.
func (s *splitter) write(p []byte, now time.Time) {
	s.now = now
	for len(p) > 0 {
		if s.cur == nil {
			s.cur = logdriver.NewMessage()
		}
		room := s.size - len(s.cur.Line)
		// One byte more than there is room for tells whether the line ends here.
		window := p[:min(len(p), room+1)]
		switch i := bytes.IndexByte(window, '\n'); {
		case i >= 0:
			s.cur.Line = append(s.cur.Line, window[:i]...)
			s.endLine()
			p = p[i+1:]
		case len(window) > room:
			s.cur.Line = append(s.cur.Line, window[:room]...)
			s.endPart()
			p = p[room:]
		default:
			s.cur.Line = append(s.cur.Line, window...)
			return
		}
	}
}

// finish emits what was held back when the stream ended.
func (s *splitter) finish() {
	if s.cur == nil {
		return // a split line always has its final part held back
	}
	s.cur.Unterminated = true
	s.endLine()
}

// endLine emits the held message as a line, or as the last part of one.
func (s *splitter) endLine() {
	if s.part.IsPartial() {
		s.part.Ordinal++
		s.part.Last = true
	} else {
		s.time = s.tick()
	}
	s.flush()
	s.part = logdriver.Partial{}
}

// endPart emits the held message as a part of a line that goes on.
func (s *splitter) endPart() {
	if !s.part.IsPartial() {
		s.part.ID = rand.Text()
		s.time = s.tick()
	}
	s.part.Ordinal++
	s.flush()
}

func (s *splitter) flush() {
	m := s.cur
	s.cur = nil
	m.Source, m.Timestamp, m.Partial = s.source, s.time, s.part
	s.emit(m)
}

// tick returns the time at which the bytes at hand were read. Lines out of one
// read are a nanosecond apart, so that a sink that sorts by time keeps their
// order.
func (s *splitter) tick() time.Time {
	t := s.now
	s.now = t.Add(time.Nanosecond)
	return t
}

// lineSize returns the length above which a line for l is split.
func lineSize(l logdriver.Logger) int {
	if sized, ok := l.(logdriver.SizedLogger); ok {
		if n := sized.BufSize(); n > 0 {
			return min(n, logdriver.MaxLineBytes)
		}
	}
	return logdriver.DefaultBufSize
}

// validSource makes name fit for Message.Source: a name that no driver would
// accept would fail every message.
func validSource(name string) string {
	name = strings.ToValidUTF8(name, "\uFFFD")
	if len(name) <= logdriver.MaxSourceBytes {
		return name
	}
	n := logdriver.MaxSourceBytes
	for !utf8.RuneStart(name[n]) {
		n--
	}
	return name[:n]
}
