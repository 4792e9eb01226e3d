//go:build linux

package carry

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"io"
	"math"
	"sync"
	"time"

	"github.com/logplug/logplug/shared/logdriver"
)

const (
	minWindow = 4 << 10
	maxWindow = halfBytes / 2
)

// Stream is one of the container's outputs. Its methods must not be called
// concurrently; different streams may be used at the same time.
type Stream struct {
	file    *File
	index   int
	source  string
	pattern [fillBytes]byte
	window  uint64    // how much the next read may bring
	at      time.Time // when the bytes at hand were read
	ended   bool
}

// OpenStream returns the stream with the given index, 0 or 1. What a reader that was
// killed left is kept.
func (f *File) OpenStream(index int, source string) *Stream {
	s := &Stream{file: f, index: index, source: source, pattern: filler(f.head.fill), window: minWindow, at: time.Now().UTC()}
	if st := s.state(); st.window > 0 {
		b := f.half(index, st.half)[st.end : st.end+st.window]
		st.end += uint64(written(b, &s.pattern))
		st.window = 0
		s.set(st)
	}
	return s
}

func (s *Stream) state() state   { return s.file.head.cells[s.index].get() }
func (s *Stream) set(next state) { s.file.head.cells[s.index].set(next) }

// Read reads once from r. It returns io.EOF at the end, when the last line, if it has
// no end, can be taken too.
func (s *Stream) Read(r io.Reader) error {
	st := s.makeRoom()
	b := s.file.half(s.index, st.half)
	st.window = min(s.window, halfBytes-st.end)
	room := b[st.end : st.end+st.window]
	fill(room, &s.pattern)
	s.set(st)
	n, err := r.Read(room)
	st.end += uint64(n)
	st.window = 0
	s.set(st)
	s.at = time.Now().UTC()
	switch {
	case n == len(room):
		s.window = min(2*s.window, maxWindow)
	case n < len(room)/4:
		s.window = max(s.window/2, minWindow)
	}
	s.ended = s.ended || err == io.EOF
	return err
}

// makeRoom moves what is left to the front where there is no room behind it.
func (s *Stream) makeRoom() state {
	st := s.state()
	switch {
	case st.start == st.end:
		st.start, st.end = 0, 0
		s.set(st)
	case halfBytes-st.end < minWindow:
		n := copy(s.file.half(s.index, st.half^1), s.file.half(s.index, st.half)[st.start:st.end])
		st.half, st.start, st.end = st.half^1, 0, uint64(n)
		s.set(st)
	}
	return st
}

// next returns the message at the front and the state behind it. The message's
// line points into the memory.
func (s *Stream) next(m *logdriver.Message) (after state, ok bool) {
	st := s.state()
	b := s.file.half(s.index, st.half)[st.start:st.end]
	size := int(s.file.head.size)
	line, used, whole := b, len(b), true
	switch i := bytes.IndexByte(b[:min(len(b), size+1)], '\n'); {
	case i >= 0:
		line, used = b[:i], i+1
	case len(b) > size:
		line, used, whole = b[:size], size, false
	case !s.ended || (len(b) == 0 && st.ordinal == 0):
		return st, false
	default:
		m.Unterminated = true
	}
	m.Borrow(line)
	m.Source = s.source
	after = st
	after.start += uint64(used)
	s.place(m, &after, whole)
	return after, true
}

// place gives m its time and, in a line that is split, its part.
func (s *Stream) place(m *logdriver.Message, after *state, whole bool) {
	if whole && after.ordinal == 0 {
		m.Timestamp = s.at
		s.at = s.at.Add(time.Nanosecond) // so that a sink that sorts by time keeps the order
		return
	}
	if after.ordinal == 0 {
		rand.Read(after.id[:]) // never fails
		after.time = s.at.UnixNano()
		s.at = s.at.Add(time.Nanosecond)
	}
	after.ordinal++
	m.Timestamp = time.Unix(0, after.time).UTC()
	m.Partial = logdriver.Partial{ID: hex.EncodeToString(after.id[:]), Ordinal: int(after.ordinal), Last: whole}
	if whole {
		after.ordinal = 0
	}
}

// Position is a logger's, see host.Positioner.
type Position func() (stream string, last uint64)

// Take hands the messages that are complete to log, in order, until one is refused
// with an error that keep says to keep it for. Other errors lose the message. The
// lock, which the streams of a file share, is held for one message at a time.
func (s *Stream) Take(at Position, log func(*logdriver.Message) error, keep func(error) bool, mu sync.Locker) error {
	for {
		m := logdriver.NewMessage()
		after, ok := s.next(m)
		if !ok {
			logdriver.PutMessage(m)
			return nil
		}
		if err := s.take(m, after, at, log, keep, mu); err != nil {
			return err
		}
	}
}

func (s *Stream) take(m *logdriver.Message, after state, at Position, log func(*logdriver.Message) error, keep func(error) bool, mu sync.Locker) error {
	mu.Lock()
	defer mu.Unlock()
	s.intend(at())
	if err := log(m); err != nil {
		logdriver.PutMessage(m)
		if keep(err) {
			s.file.head.intent.stream.Store(0)
			return err
		}
	}
	s.set(after)
	s.file.head.intent.stream.Store(0)
	return nil
}

// End makes the bytes that are there the last ones.
func (s *Stream) End() { s.ended = true }

// intend notes that the message at the front is being logged, and the logger's
// position.
func (s *Stream) intend(stream string, last uint64) {
	if stream != s.file.Stream() {
		last = math.MaxUint64 // the numbers of another stream tell nothing later
	}
	in, st := &s.file.head.intent, s.state()
	in.stream.Store(0)
	in.half, in.start, in.last = st.half, st.start, last
	in.stream.Store(uint64(s.index) + 1)
}

// Resume skips the message that was being logged when the process before was
// killed, if the logger's position tells that it was accepted. It is called once,
// before the first Take.
func (s *Stream) Resume(at Position) {
	in, st := &s.file.head.intent, s.state()
	if in.stream.Load() != uint64(s.index)+1 {
		return
	}
	if in.half == st.half && in.start == st.start {
		if stream, last := at(); stream != s.file.Stream() || last <= in.last {
			return // it is noted again when it is logged, which comes first
		}
		s.skip()
	}
	// What is read next may begin at the same place.
	in.stream.Store(0)
}

// skip takes the message at the front away.
func (s *Stream) skip() {
	m := logdriver.NewMessage()
	defer logdriver.PutMessage(m)
	// A last line without an end was logged if anything was.
	s.ended = true
	if after, ok := s.next(m); ok {
		s.set(after)
	}
	s.ended = false
}
