package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"

	"go.uber.org/goleak"

	"github.com/logplug/logplug/shared/logdriver"
)

var errDisk = errors.New("disk on fire")

// copyAll runs a Copier over sources and returns it with Run's error.
func copyAll(t *testing.T, dst logdriver.Logger, opts *CopierOptions, sources ...Source) (*Copier, error) {
	t.Helper()
	c := NewCopier(dst, opts, sources...)
	err := c.Run(t.Context())
	return c, err
}

func TestCopierReaders(t *testing.T) {
	in := "first\r\n\x00\xff\n" + strings.Repeat("long", 20) + "\n\nend"
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"plain":     func(r io.Reader) io.Reader { return r },
		"one byte":  iotest.OneByteReader,
		"half":      iotest.HalfReader,
		"data, EOF": iotest.DataErrReader,
	} {
		t.Run(name, func(t *testing.T) {
			dst := &collector{bufSize: 16}
			c, err := copyAll(t, dst, nil, Source{Name: "stdout", Reader: wrap(strings.NewReader(in))})
			if err != nil {
				t.Fatal(err)
			}
			msgs := dst.of("stdout")
			if got := joined(msgs); string(got) != in {
				t.Errorf("got %q back for %q", got, in)
			}
			checkParts(t, msgs, 16)
			st := c.Stats()[0]
			if st.ReadBytes != uint64(len(in)) || st.Messages != uint64(len(msgs)) || st.Bytes != uint64(len(in)-4) || st.Lost != (Loss{}) {
				t.Errorf("stats %+v for %d bytes in %d messages", st, len(in), len(msgs))
			}
		})
	}
}

func TestCopierHugeLine(t *testing.T) {
	in := bytes.Repeat([]byte("0123456789abcdef"), 8<<20/16)
	dst := &collector{}
	if _, err := copyAll(t, dst, nil, Source{Name: "stdout", Reader: bytes.NewReader(in)}); err != nil {
		t.Fatal(err)
	}
	msgs := dst.of("stdout")
	if !bytes.Equal(joined(msgs), in) {
		t.Error("the line came back changed")
	}
	checkParts(t, msgs, logdriver.DefaultBufSize)
	if want := len(in) / logdriver.DefaultBufSize; len(msgs) != want {
		t.Errorf("got %d parts, want %d", len(msgs), want)
	}
}

func TestCopierKeepsTheOrderOfEachSource(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	input := func(name string) string {
		var b strings.Builder
		for i := range 5000 {
			fmt.Fprintf(&b, "%s %d %s\n", name, i, strings.Repeat("x", i%50))
		}
		return b.String()
	}
	dst := &collector{bufSize: 32}
	var sources []Source
	for _, name := range []string{"stdout", "stderr", "audit"} {
		sources = append(sources, Source{Name: name, Reader: strings.NewReader(input(name))})
	}
	if _, err := copyAll(t, dst, nil, sources...); err != nil {
		t.Fatal(err)
	}
	for _, s := range sources {
		if got := joined(dst.of(s.Name)); string(got) != input(s.Name) {
			t.Errorf("%s came back changed", s.Name)
		}
	}
}

func TestCopierSendsLinesAtOnce(t *testing.T) {
	pr, pw := io.Pipe()
	dst := &collector{notify: make(chan string)}
	c := NewCopier(dst, nil, Source{Name: "stdout", Reader: pr})
	done := make(chan error)
	go func() { done <- c.Run(t.Context()) }()

	for _, step := range []struct{ write, want string }{{"one\ntw", "one"}, {"o\n", "two"}, {"\n", ""}} {
		if _, err := io.WriteString(pw, step.write); err != nil {
			t.Fatal(err)
		}
		if got := <-dst.notify; got != step.want {
			t.Fatalf("after writing %q: got %q, want %q", step.write, got, step.want)
		}
	}
	_ = pw.Close()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestCopierEnds(t *testing.T) {
	disk, err := os.Create(t.TempDir() + "/file")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = disk.Close() }()
	eio := &fs.PathError{Op: "read", Path: "/dev/ptmx", Err: syscall.EIO}
	for _, tc := range []struct {
		name string
		r    io.Reader
		want error
	}{
		{"EOF", iotest.ErrReader(io.EOF), nil},
		{"closed file", iotest.ErrReader(&fs.PathError{Op: "read", Path: "|0", Err: os.ErrClosed}), nil},
		{"closed pipe", iotest.ErrReader(io.ErrClosedPipe), nil},
		{"terminal hung up", iotest.ErrReader(eio), nil},
		{"EIO of a disk", failingFile{disk, eio}, syscall.EIO},
		{"failure", iotest.ErrReader(errDisk), errDisk},
		{"cut off", iotest.ErrReader(io.ErrUnexpectedEOF), io.ErrUnexpectedEOF},
		{"stuck", readerFunc(func([]byte) (int, error) { return 0, nil }), io.ErrNoProgress},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dst := &collector{}
			var reported []error
			c := NewCopier(dst, &CopierOptions{OnError: func(err *CopyError) { reported = append(reported, err) }},
				Source{Name: "stdout", Reader: io.MultiReader(strings.NewReader("a\nrest"))},
				Source{Name: "stderr", Reader: tc.r})
			err := c.Run(t.Context())
			diff(t, "the other source", pieces(dst.of("stdout")), []piece{{Line: "a"}, {Line: "rest", Unterminated: true}})
			if tc.want == nil {
				if err != nil || reported != nil {
					t.Errorf("Run returned %v and reported %v, want nothing", err, reported)
				}
				return
			}
			var ce *CopyError
			if !errors.Is(err, tc.want) || !errors.As(err, &ce) || ce.Op != "read" || ce.Source != "stderr" {
				t.Errorf("Run returned %v, want a read error of stderr with %v", err, tc.want)
			}
			if len(reported) != 1 || !errors.Is(reported[0], tc.want) {
				t.Errorf("reported %v, want %v once", reported, tc.want)
			}
		})
	}
}

// The output of a real process, on pipes, comes back whole from both streams.
func TestCopierProcess(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "sh", "-c",
		`i=0; while [ $i -lt 2000 ]; do echo out $i; echo err $i >&2; i=$((i+1)); done; printf end`)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	dst := &collector{bufSize: 5}
	_, err = copyAll(t, dst, nil, Source{Name: "stdout", Reader: stdout}, Source{Name: "stderr", Reader: stderr})
	if err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	var wantOut, wantErr strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&wantOut, "out %d\n", i)
		fmt.Fprintf(&wantErr, "err %d\n", i)
	}
	wantOut.WriteString("end")
	for source, want := range map[string]string{"stdout": wantOut.String(), "stderr": wantErr.String()} {
		if string(joined(dst.of(source))) != want {
			t.Errorf("%s came back changed", source)
		}
		checkParts(t, dst.of(source), 5)
	}
}

func TestCopierLiesOfReaders(t *testing.T) {
	for _, n := range []int{-1, readBytes + 1} {
		_, err := copyAll(t, &collector{}, nil, Source{Name: "stdout", Reader: readerFunc(func([]byte) (int, error) { return n, nil })})
		if err == nil {
			t.Errorf("a reader that returned %d: no error", n)
		}
	}
	if _, err := copyAll(t, &collector{}, nil, Source{Name: "stdout"}); err == nil {
		t.Error("no Reader: no error")
	}
}

func TestCopierRunsOnce(t *testing.T) {
	c, err := copyAll(t, &collector{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Run(t.Context()); err == nil {
		t.Error("a second Run succeeded")
	}
}

func TestCopierLogErrors(t *testing.T) {
	full := fmt.Errorf("queue: %w", logdriver.ErrSpoolFull)
	dst := &collector{refuse: func(n int, _ *logdriver.Message) error {
		switch n % 4 {
		case 1:
			return full
		case 2:
			return errDisk
		default:
			return nil
		}
	}}
	var reported []error
	c, err := copyAll(t, dst, &CopierOptions{OnError: func(err *CopyError) { reported = append(reported, err) }},
		Source{Name: "stdout", Reader: strings.NewReader("0\n11\n222\n3\n4\n55\n666\n7")})
	if !errors.Is(err, logdriver.ErrSpoolFull) || !strings.Contains(err.Error(), "4 messages (10 bytes) lost") {
		t.Errorf("Run returned %v", err)
	}
	if len(reported) != 2 || !errors.Is(reported[0], logdriver.ErrSpoolFull) || !errors.Is(reported[1], errDisk) {
		t.Errorf("reported %v, want one error of each kind", reported)
	}
	diff(t, "messages", pieces(dst.messages()), []piece{{Line: "0"}, {Line: "3"}, {Line: "4"}, {Line: "7", Unterminated: true}})
	diff(t, "lost", c.Lost(), Loss{Messages: 4, Bytes: 10})
	diff(t, "stats", c.Stats(), []SourceStats{{Source: "stdout", ReadBytes: 21, Messages: 4, Bytes: 4, Lost: c.Lost()}})
}

// A logger that never takes anything must not stop whoever writes to the source.
func TestCopierDrainsWhenLoggingFails(t *testing.T) {
	pr, pw, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	dst := &collector{refuse: func(int, *logdriver.Message) error { return errDisk }}
	c := NewCopier(dst, nil, Source{Name: "stdout", Reader: pr})
	done := make(chan error)
	go func() { done <- c.Run(t.Context()) }()

	in := bytes.Repeat([]byte(strings.Repeat("x", 99)+"\n"), 10_000) // more than a pipe holds
	if _, err := pw.Write(in); err != nil {
		t.Fatal(err)
	}
	_ = pw.Close()
	if err := <-done; !errors.Is(err, errDisk) {
		t.Errorf("Run returned %v, want %v", err, errDisk)
	}
	diff(t, "lost", c.Lost(), Loss{Messages: 10_000, Bytes: 990_000})
}

func TestCopierStopsWhenTheLoggerIsClosed(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	quiet, pw, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = pw.Close(), quiet.Close() }()
	dst := &collector{refuse: func(n int, _ *logdriver.Message) error {
		if n > 0 {
			return logdriver.ErrClosed
		}
		return nil
	}}
	c, err := copyAll(t, dst, nil,
		Source{Name: "stdout", Reader: strings.NewReader("a\nb\nc\nd")},
		Source{Name: "stderr", Reader: quiet})
	if !errors.Is(err, logdriver.ErrClosed) {
		t.Errorf("Run returned %v, want %v", err, logdriver.ErrClosed)
	}
	diff(t, "lost", c.Lost(), Loss{Messages: 3, Bytes: 3})
	if dst.calls != 2 {
		t.Errorf("Log was called %d times, want 2", dst.calls)
	}
}

// The end of the context interrupts a read, keeps what was read, and leaves a
// pipe open and readable.
func TestCopierContextEnds(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	file, fileW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = file.Close(), fileW.Close() }()
	mem, memW := io.Pipe()

	dst := &collector{notify: make(chan string, 10)}
	c := NewCopier(dst, nil, Source{Name: "stdout", Reader: file}, Source{Name: "stderr", Reader: mem})
	stopped := errors.New("stopped by the test")
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan error)
	go func() { done <- c.Run(ctx) }()
	for _, w := range []io.Writer{fileW, memW} {
		if _, err := io.WriteString(w, "line\nrest"); err != nil {
			t.Fatal(err)
		}
		<-dst.notify
	}
	cancel(stopped)
	if err := <-done; !errors.Is(err, stopped) {
		t.Errorf("Run returned %v, want %v", err, stopped)
	}
	for _, source := range []string{"stdout", "stderr"} {
		diff(t, source, pieces(dst.of(source)), []piece{{Line: "line"}, {Line: "rest", Unterminated: true}})
	}
	if _, err := memW.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("writing to a reader without deadlines: %v, want it closed", err)
	}
	if _, err := fileW.WriteString("more"); err != nil {
		t.Error(err)
	}
	if n, err := file.Read(make([]byte, 10)); n != 4 || err != nil {
		t.Errorf("reading on from the pipe: %d bytes, %v", n, err)
	}
}

// Once the context has ended, one refusal is enough: a logger that waits before
// it refuses would otherwise hold Run up for every line that was read.
func TestCopierGivesUpWhenContextEndedAndLogFails(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	dst := &collector{refuse: func(int, *logdriver.Message) error {
		cancel()
		return logdriver.ErrSpoolFull
	}}
	c := NewCopier(dst, nil, Source{Name: "stdout", Reader: strings.NewReader("a\nb\nc\n")})
	if err := c.Run(ctx); !errors.Is(err, context.Canceled) || !errors.Is(err, logdriver.ErrSpoolFull) {
		t.Errorf("Run returned %v", err)
	}
	if dst.calls != 1 {
		t.Errorf("Log was called %d times, want once", dst.calls)
	}
	diff(t, "lost", c.Lost(), Loss{Messages: 3, Bytes: 3})
}

func TestCopierTee(t *testing.T) {
	in := "a\r\nbb\nrest"
	var tee bytes.Buffer
	dst := &collector{}
	if _, err := copyAll(t, dst, nil, Source{Name: "stdout", Reader: iotest.OneByteReader(strings.NewReader(in)), Tee: &tee}); err != nil {
		t.Fatal(err)
	}
	if tee.String() != in || string(joined(dst.messages())) != in {
		t.Errorf("tee got %q, the logger %q, want %q", tee.String(), joined(dst.messages()), in)
	}
}

func TestCopierTeeFails(t *testing.T) {
	for name, tc := range map[string]struct {
		tee  writerFunc
		want error
	}{
		"error": {func(p []byte) (int, error) { return 0, errDisk }, errDisk},
		"short": {func(p []byte) (int, error) { return 0, nil }, io.ErrShortWrite},
	} {
		t.Run(name, func(t *testing.T) {
			calls := 0
			tee := writerFunc(func(p []byte) (int, error) { calls++; return tc.tee(p) })
			var reported []*CopyError
			dst := &collector{}
			c, err := copyAll(t, dst, &CopierOptions{OnError: func(err *CopyError) { reported = append(reported, err) }},
				Source{Name: "stdout", Reader: iotest.OneByteReader(strings.NewReader("abc\n")), Tee: tee})
			if err != nil {
				t.Fatal(err)
			}
			diff(t, "messages", pieces(dst.messages()), []piece{{Line: "abc"}})
			if len(reported) != 1 || reported[0].Op != "tee" || !errors.Is(reported[0], tc.want) || calls != 1 {
				t.Errorf("after %d writes reported %v, want one %v", calls, reported, tc.want)
			}
			if got := c.Stats()[0].TeeLostBytes; got != 4 {
				t.Errorf("TeeLostBytes is %d, want 4", got)
			}
		})
	}
}

// Stats may be asked for while the copier runs; the race detector looks on.
func TestCopierStatsWhileRunning(t *testing.T) {
	c := NewCopier(&collector{}, nil, Source{Name: "stdout", Reader: strings.NewReader(strings.Repeat("line\n", 10_000))})
	var wg sync.WaitGroup
	wg.Go(func() {
		for c.Stats()[0].Messages < 10_000 {
			_ = c.Lost()
		}
	})
	if err := c.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
}

// devNull is a Logger that costs nothing.
type devNull struct{}

func (devNull) Name() string { return "null" }
func (devNull) Close() error { return nil }
func (devNull) Log(m *logdriver.Message) error {
	logdriver.PutMessage(m)
	return nil
}

func TestCopierAllocatesNothingPerLine(t *testing.T) {
	const lines = 20_000
	in := bytes.Repeat([]byte(strings.Repeat("x", 99)+"\n"), lines)
	allocs := testing.AllocsPerRun(5, func() {
		c := NewCopier(devNull{}, nil, Source{Name: "stdout", Reader: bytes.NewReader(in)})
		if err := c.Run(t.Context()); err != nil {
			t.Error(err)
		}
	})
	// The race detector makes sync.Pool drop a quarter of what it is given, so
	// this holds without it only.
	if raceDetector() {
		t.Skipf("%.0f allocations for %d lines; not judged under the race detector", allocs, lines)
	}
	if allocs > 200 {
		t.Errorf("%.0f allocations for %d lines, want none per line", allocs, lines)
	}
}

func BenchmarkCopier(b *testing.B) {
	for _, size := range []int{10, 100, 1000, 100_000} {
		b.Run(fmt.Sprintf("line=%d", size), func(b *testing.B) {
			in := bytes.Repeat([]byte(strings.Repeat("x", size-1)+"\n"), 10_000_000/size)
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			for b.Loop() {
				c := NewCopier(devNull{}, nil, Source{Name: "stdout", Reader: bytes.NewReader(in)})
				if err := c.Run(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(in)/size)*float64(b.N)/b.Elapsed().Seconds(), "lines/s")
		})
	}
}

// failingFile is a file of a disk that cannot be read.
type failingFile struct {
	*os.File
	err error
}

func (f failingFile) Read([]byte) (int, error) { return 0, f.err }

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
