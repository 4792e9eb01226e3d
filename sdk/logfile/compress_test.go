package logfile

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/logplug/logplug/shared/logdriver"
)

// gate is in place of the file that a log compresses to.
type gate struct {
	t    *testing.T
	name string
	fd   int
	once sync.Once
}

func newGate(t *testing.T, l *Log) *gate {
	t.Helper()
	name := l.names.packedTemp()
	if err := unix.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open(name, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{t: t, name: name, fd: fd}
	t.Cleanup(g.fail)
	return g
}

// reached waits for the first byte. The rest finds no room.
func (g *gate) reached() {
	g.t.Helper()
	until(g.t, "compressing", func() bool {
		n, _ := unix.Read(g.fd, make([]byte, 1)) // EAGAIN as long as there is none
		return n == 1
	})
}

// fail ends the compressing with an error.
func (g *gate) fail() {
	g.once.Do(func() {
		if err := errors.Join(os.Remove(g.name), unix.Close(g.fd)); err != nil {
			g.t.Error(err)
		}
	})
}

// appends appends messages one by one, and is not held up.
func appends(t *testing.T, l *Log, from, to int) {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		var err error
		for i := from; i < to; i++ {
			err = errors.Join(err, l.Append(numbered(i, i+1)))
		}
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(patience):
		t.Fatal("writing waits for compression")
	}
}

// Compression goes on beside writing, however long it takes: through rotations, and
// beyond the removal of what it compresses.
func TestCompressionBlocksNoWriter(t *testing.T) {
	for _, names := range []bool{false, true} {
		cfg := config(t)
		cfg.MaxSize, cfg.MaxFiles, cfg.Compress, cfg.Numbered = 1, 4, true, names // one message a file
		failures := make(chan error, 100)
		cfg.OnError = func(err error) { failures <- err }
		l := mustOpen(t, cfg)
		g := newGate(t, l)
		noise := make([]byte, 256<<10) // far more than a pipe holds
		rand.Read(noise)
		large := &logdriver.Message{Line: hex.AppendEncode(nil, noise), Timestamp: epoch, Seq: 1}
		if err := l.Append([]*logdriver.Message{large}); err != nil {
			t.Fatal(err)
		}
		appends(t, l, 1, 2)
		g.reached()
		appends(t, l, 2, 20)
		expect(t, l, all, texts(16, 20))
		g.fail()
		select {
		case err := <-failures:
			if !errors.Is(err, syscall.EPIPE) {
				t.Errorf("compression failed with %v", err)
			}
		case <-time.After(patience):
			t.Fatal("compression has not failed")
		}
		packed := func() (n int) {
			for key := range uint64(30) {
				if exists(l.names.packed(key)) && !exists(l.names.file(key)) {
					n++
				}
			}
			return n
		}
		until(t, "the others compressed", func() bool { return packed() == 3 })
		expect(t, l, all, texts(16, 20))
		l.Close()
	}
}

// countedWrites counts the writes to a file.
type countedWrites struct {
	writableFile
	n *int
}

func (c countedWrites) Write(b []byte) (int, error) {
	*c.n++
	return c.writableFile.Write(b)
}

// A batch is one write.
func TestBatchIsOneWrite(t *testing.T) {
	l := mustOpen(t, config(t))
	writes := 0
	l.cur.f = countedWrites{l.cur.f, &writes}
	for i, batch := range [][2]int{{0, 1}, {1, 400}, {400, 1000}} {
		add(t, l, batch[0], batch[1])
		if writes != i+1 {
			t.Errorf("after %d batches there were %d writes", i+1, writes)
		}
	}
	expect(t, l, all, texts(0, 1000))
}

// A compressed file takes the place of another only when it is durable, which a pipe
// cannot become.
func TestCompressedIsDurable(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.MaxSize, cfg.MaxFiles, cfg.Compress = 1, 4, true
	failures := make(chan error, 100)
	cfg.OnError = func(err error) { failures <- err }
	l := mustOpen(t, cfg)
	temp := l.names.packedTemp()
	if err := unix.Mkfifo(temp, 0o600); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open(temp, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	add(t, l, 0, 2)
	until(t, "an end of compressing", func() bool { return len(failures) > 0 || exists(l.names.packed(1)) })
	select {
	case err := <-failures:
		if !errors.Is(err, syscall.EINVAL) {
			t.Error(err)
		}
	default:
		t.Error("the original was replaced")
	}
}
