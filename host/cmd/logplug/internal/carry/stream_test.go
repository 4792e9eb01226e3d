//go:build linux

package carry

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/logplug/logplug/shared/logdriver"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// errKilled stands for the end of the process.
var errKilled = errors.New("killed")

// log is a logger that survives its process, as one with a spool does.
type log struct {
	lines [streams]bytes.Buffer
	last  uint64
	parts int
}

func (l *log) take(i int, m *logdriver.Message) {
	l.last++
	l.lines[i].Write(m.Line)
	if !m.Partial.More() && !m.Unterminated {
		l.lines[i].WriteByte('\n')
	}
	if m.Partial.IsPartial() {
		l.parts++
	}
}

func reopen(t rapid.TB, f *File) *File {
	fd, err := unix.Dup(f.FD())
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	f, err = Open(fd)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// killing is a reader whose process may be killed when it has read.
type killing struct {
	r    io.Reader
	kill func() bool
}

func (k killing) Read(p []byte) (n int, err error) {
	n, err = k.r.Read(p)
	if k.kill() {
		panic(errKilled)
	}
	return n, err
}

// TestKills kills the process at each kind of moment, and finds every byte once.
func TestKills(t *testing.T) { rapid.Check(t, testKills) }

func testKills(t *rapid.T) {
	line := rapid.StringOfN(rapid.RuneFrom([]rune("ab\n\x00ü")), 0, 300, -1)
	input := [streams]string{
		strings.Repeat(line.Draw(t, "stdout"), rapid.IntRange(1, 400).Draw(t, "times")),
		line.Draw(t, "stderr"),
	}
	rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
	often := rapid.IntRange(2, 60).Draw(t, "often")
	kill := func() bool { return rnd.IntN(often) == 0 }

	f, err := Create(rapid.IntRange(1, 200).Draw(t, "size"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { f.Close() }()
	var l log
	var in [streams]io.Reader
	for i := range in {
		in[i] = strings.NewReader(input[i])
	}
	for !life(f, &l, in, kill) {
		f = reopen(t, f)
	}
	for i := range in {
		if got := l.lines[i].String(); got != input[i] {
			t.Fatalf("stream %d: got %d bytes, want %d\n%.200q\n%.200q", i, len(got), len(input[i]), got, input[i])
		}
	}
}

// life is one process. It returns false if it was killed.
func life(f *File, l *log, in [streams]io.Reader, kill func() bool) (whole bool) {
	defer func() {
		if v := recover(); v != nil && v != errKilled {
			panic(v)
		}
	}()
	at := func() (string, uint64) { return f.Stream(), l.last }
	var all [streams]*Stream
	for i := range in {
		all[i] = f.OpenStream(i, "s")
		all[i].Resume(at)
	}
	for i, s := range all {
		for err := error(nil); err != io.EOF; {
			err = s.Read(killing{in[i], kill})
			_ = s.Take(at, func(m *logdriver.Message) error {
				if kill() {
					panic(errKilled)
				}
				l.take(i, m)
				if kill() {
					panic(errKilled)
				}
				logdriver.PutMessage(m)
				return nil
			}, func(error) bool { return true }, &sync.Mutex{})
		}
	}
	return true
}

// TestResumeOnce: what a reader that resumed has read is not taken for the message that
// its predecessor logged, though it begins at the same place.
func TestResumeOnce(t *testing.T) {
	t.Parallel()
	f, err := Create(100)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { f.Close() }()
	var l log
	at := func() (string, uint64) { return f.Stream(), l.last }
	keep := func(error) bool { return true }
	reopened := func(text string) *Stream {
		f = reopen(t, f)
		s := f.OpenStream(0, "s")
		s.Resume(at)
		if err := s.Read(strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
		return s
	}
	take := func(m *logdriver.Message) error {
		l.take(0, m)
		logdriver.PutMessage(m)
		return nil
	}
	func() {
		defer func() { _ = recover() }()
		_ = reopened("one\n").Take(at, func(m *logdriver.Message) error {
			l.take(0, m)
			panic(errKilled)
		}, keep, &sync.Mutex{})
	}()
	reopened("pass") // killed before the line has its end
	if err := reopened("word\n").Take(at, take, keep, &sync.Mutex{}); err != nil {
		t.Fatal(err)
	}
	if got, want := l.lines[0].String(), "one\npassword\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestForeignFiles(t *testing.T) {
	fd, err := unix.MemfdCreate("other", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(fd); !errors.Is(err, ErrForeign) {
		t.Errorf("a file without seals: %v", err)
	}
	f, err := Create(100)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for name, spoil := range map[string]func(*header){
		"magic": func(h *header) { h.magic.Store(1) },
		"size":  func(h *header) { h.size = MaxLine + 1 },
		"end":   func(h *header) { h.cells[1].set(state{end: halfBytes + 1}) },
		"order": func(h *header) { h.cells[0].set(state{start: 2, end: 1}) },
		"window": func(h *header) {
			h.cells[0].set(state{end: halfBytes, window: 1})
		},
	} {
		saved := bytes.Clone(f.mem[:headerBytes])
		spoil(f.head)
		fd, err := unix.Dup(f.FD())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Open(fd); !errors.Is(err, ErrForeign) {
			t.Errorf("%s: %v", name, err)
		}
		copy(f.mem, saved)
	}
}

func BenchmarkStream(b *testing.B) {
	f, err := Create(16 << 10)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	s := f.OpenStream(0, "stdout")
	input := bytes.Repeat([]byte(strings.Repeat("x", 99)+"\n"), 1000)
	at := func() (string, uint64) { return "", 0 }
	var mu sync.Mutex
	b.SetBytes(int64(len(input)))
	b.ReportAllocs()
	for b.Loop() {
		r := bytes.NewReader(input)
		for s.Read(r) != io.EOF {
			_ = s.Take(at, func(m *logdriver.Message) error { logdriver.PutMessage(m); return nil }, nil, &mu)
		}
		s.ended = false
	}
}
