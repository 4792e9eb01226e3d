package logfile

import (
	"io"
	"math"
	"os"
)

// scanBytes is how much is read at once, and held if no frame is longer.
const scanBytes = 64 << 10

// minScanBytes is the size of the smallest buffer.
const minScanBytes = 1 << 10

// maxKeptBytes is how large a buffer stays after a long frame.
const maxKeptBytes = 1 << 20

// frame is one piece of a file.
type frame struct {
	data []byte // valid until the next call of the scanner
	off  int64
	// tooLong is the number of bytes of a frame that exceeds MaxFrameBytes; data
	// is empty then.
	tooLong int64
}

// scanner cuts a source into frames. Reaching the end is not final: next may be
// called again once there is more.
type scanner struct {
	framing Framing
	src     io.Reader
	buf     []byte
	r, w    int
	off     int64 // of buf[r] in the file
	skipped int64 // bytes of a too long frame that were skipped so far
}

func newScanner(f Framing, src io.Reader, off int64) *scanner {
	return newSizedScanner(f, src, off, scanBytes)
}

// newSizedScanner is newScanner with a smaller buffer for a source of few bytes. The
// buffer grows if there are more.
func newSizedScanner(f Framing, src io.Reader, off int64, bytes int64) *scanner {
	return &scanner{framing: f, src: src, off: off, buf: make([]byte, min(max(bytes, minScanBytes), scanBytes-1)+1)}
}

// next returns the next frame. io.EOF means that the source holds no whole one
// at present.
func (s *scanner) next() (f frame, _ error) { // f is filled in: a copy takes longer than the rest
	for {
		if s.skipped > 0 {
			if long, ok := s.resync(); ok {
				return long, nil
			}
		} else if n := s.framing.Next(s.buf[s.r:s.w]); n > 0 {
			f.data, f.off = s.buf[s.r:s.r+n], s.off
			s.r += n
			s.off += int64(n)
			return f, nil
		} else if s.w-s.r >= MaxFrameBytes {
			s.drop(s.w - s.r)
			continue
		}
		if err := s.fill(); err != nil {
			return frame{}, err
		}
	}
}

// resync looks for the end of a frame that is too long.
func (s *scanner) resync() (frame, bool) {
	n := s.framing.Resync(s.buf[s.r:s.w])
	if n < 0 {
		s.drop(s.w - s.r)
		return frame{}, false
	}
	s.drop(n)
	f := frame{off: s.off - s.skipped, tooLong: s.skipped}
	s.skipped = 0
	return f, true
}

func (s *scanner) drop(n int) {
	s.r += n
	s.off += int64(n)
	s.skipped += int64(n)
}

func (s *scanner) fill() error {
	if s.w == len(s.buf) && len(s.buf) < scanBytes {
		full := make([]byte, scanBytes)
		s.r, s.w, s.buf = 0, copy(full, s.buf[s.r:s.w]), full
	}
	switch {
	case s.r == s.w:
		s.r, s.w = 0, 0
		if len(s.buf) > maxKeptBytes {
			s.buf = make([]byte, scanBytes)
		}
	case s.w == len(s.buf) && s.r > 0:
		s.w = copy(s.buf, s.buf[s.r:s.w])
		s.r = 0
	case s.w == len(s.buf):
		grown := make([]byte, min(2*len(s.buf), MaxFrameBytes))
		s.w = copy(grown, s.buf[:s.w])
		s.buf = grown
	}
	n, err := s.src.Read(s.buf[s.w:])
	s.w += n
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// rest takes what is left when next returned io.EOF: an incomplete frame.
func (s *scanner) rest() frame {
	f := frame{data: s.buf[s.r:s.w], off: s.off - s.skipped, tooLong: s.skipped}
	if s.skipped > 0 {
		f.data = nil
	}
	s.off += int64(s.w - s.r)
	s.r, s.w, s.skipped = 0, 0, 0
	return f
}

// rewind forgets an incomplete frame, to read it anew: a writer may have
// taken it back meanwhile.
func (s *scanner) rewind() {
	if src, ok := s.src.(*fileSource); ok && s.skipped == 0 {
		src.off = s.off
		s.r, s.w = 0, 0
	}
}

// restart goes to the beginning of a file that is not compressed.
func (s *scanner) restart() {
	s.off, s.skipped = 0, 0
	s.rewind()
}

// fileSource reads a file from an offset up to a limit that may move.
type fileSource struct {
	f     *os.File
	off   int64
	limit func() int64
	same  func() bool // if set, nothing is read where it tells that the file is another
}

func noLimit() int64 { return math.MaxInt64 }

func fixedLimit(n int64) func() int64 { return func() int64 { return n } }

func (s *fileSource) Read(p []byte) (int, error) {
	if room := s.limit() - s.off; room < int64(len(p)) {
		p = p[:max(room, 0)]
	}
	if len(p) == 0 || s.same != nil && !s.same() {
		return 0, io.EOF
	}
	n, err := s.f.ReadAt(p, s.off)
	s.off += int64(n)
	if n > 0 {
		err = nil
	}
	return n, err
}
