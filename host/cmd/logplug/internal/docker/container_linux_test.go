package docker

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/host/cmd/logplug/internal/docker/frame"
	"github.com/logplug/logplug/shared/logdriver"
	"golang.org/x/sys/unix"
)

// patience bounds each wait.
const patience = time.Minute

// forwarder is a logger that hands on the lines it gets.
type forwarder struct {
	host.Logger
	lines chan string
}

func (*forwarder) BufSize() int { return 0 }

func (f *forwarder) Log(m *logdriver.Message) error {
	f.lines <- string(m.Line)
	logdriver.PutMessage(m)
	return nil
}

// words hands on what is written.
type words chan string

func (w words) Write(p []byte) (int, error) {
	w <- string(p)
	return len(p), nil
}

// receive returns what comes next.
func receive(t *testing.T, c <-chan string, what string) string {
	t.Helper()
	select {
	case s := <-c:
		return s
	case <-time.After(patience):
		t.Fatalf("it does not come: %s", what)
		return ""
	}
}

// await waits until c is closed.
func await(t *testing.T, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		t.Fatalf("it does not happen: %s", what)
	}
}

// A container goes on, and is delivered later, when its journal cannot be read, or be emptied, for
// a while.
func TestJournalFails(t *testing.T) {
	t.Parallel()
	for name, flag := range map[string]int{"reading": os.O_WRONLY, "emptying": os.O_RDONLY} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path, reader, writer := pipe(t)
			reader.Close()
			said := make(words, 100)
			log := hclog.New(&hclog.LoggerOptions{Output: said})
			s, err := openStream(t.TempDir(), record{File: path}, newProcesses(t.TempDir()), log)
			if err != nil {
				t.Fatal(err)
			}
			whole := s.journal.file.Fd()
			broken, err := os.OpenFile(s.journal.file.Name(), flag, 0)
			if err != nil {
				t.Fatal(err)
			}
			good := s.journal.file
			defer good.Close()
			s.journal.file = broken // which has another number than what the FIFO is moved to

			l := &forwarder{lines: make(chan string, 100)}
			c := newContainer(&Service{log: log}, s)
			c.service.buffers.New = func() any { b := make([]byte, readBytes); return &b }
			ctx, cancel := context.WithCancel(t.Context())
			s.begin(ctx)
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				c.deliver(ctx, l, position{})
			}()
			line := strings.Repeat("x", 1<<20)
			journal, _ := frames(line, line, line, line, "end")
			last := len(journal) - len("end") - 100
			write(t, writer, journal[:last]) // which must not wait for the reader
			write(t, writer, journal[last:])
			if got := receive(t, said, "the error"); !strings.Contains(got, "cannot be delivered") {
				t.Errorf("it says %q", got)
			}
			// From now on the number of the broken file is that of the whole one.
			if err := unix.Dup3(int(whole), int(broken.Fd()), unix.O_CLOEXEC); err != nil {
				t.Fatal(err)
			}
			for i := range 4 {
				if got := receive(t, l.lines, "a line"); got != line {
					t.Errorf("line %d has %d bytes", i, len(got))
				}
			}
			if got := receive(t, l.lines, "the last line"); got != "end" {
				t.Errorf("the last line is %.20q", got)
			}
			cancel()
			await(t, ended, "the delivery ends")
			await(t, s.intake.done, "the intake ends")
			if err := s.close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// Reading waits for what was written before, and not for what a container writes
// meanwhile.
func TestSettle(t *testing.T) {
	t.Parallel()
	path, reader, writer := pipe(t)
	reader.Close()
	s, err := openStream(t.TempDir(), record{File: path}, newProcesses(t.TempDir()), hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	c := newContainer(&Service{log: hclog.NewNullLogger()}, s)
	c.logger = &forwarder{}
	take := func() int64 {
		n, err := s.journal.take(int(s.intake.fifo.Fd()))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	write(t, writer, make([]byte, 1000))
	before := take()
	write(t, writer, make([]byte, 500)) // is still in the FIFO
	marks := map[*stream]int64{s: s.journal.mark(s.intake.pending)}
	released := func(at int64) {
		if _, err := s.journal.release(at, func() {}); err != nil {
			t.Fatal(err)
		}
	}
	released(before)
	if c.reached(marks) {
		t.Error("what is in the FIFO does not count")
	}
	take()
	write(t, writer, make([]byte, 1000))
	take()
	write(t, writer, make([]byte, 1000))
	released(1500)
	if !c.reached(marks) {
		t.Error("what came later counts")
	}
	if err := s.close(); err != nil {
		t.Error(err)
	}
}

// A mark stays one when the journal is begun anew.
func TestMarkOfEmptiedJournal(t *testing.T) {
	t.Parallel()
	j, err := openJournal(filepath.Join(t.TempDir(), "journal"))
	if err != nil {
		t.Fatal(err)
	}
	defer j.close()
	_, reader, writer := pipe(t)
	var at int64
	for at < truncateBytes {
		write(t, writer, make([]byte, 32<<10))
		n, err := j.take(int(reader.Fd()))
		if err != nil {
			t.Fatal(err)
		}
		at += n
	}
	mark := j.mark(func() int { return 10 })
	if restarted, err := j.release(at, func() {}); err != nil || !restarted {
		t.Fatal(restarted, err)
	}
	if j.reached(mark) {
		t.Error("10 bytes are missing")
	}
	write(t, writer, make([]byte, 10))
	if _, err := j.take(int(reader.Fd())); err != nil {
		t.Fatal(err)
	}
	if _, err := j.release(10, func() {}); err != nil {
		t.Fatal(err)
	}
	if !j.reached(mark) {
		t.Error("nothing is missing")
	}
}

// counter is a logger that numbers what it gets, and the message about drops before it.
type counter struct {
	host.Logger
	last, gap uint64
	full      bool
	lines     bytes.Buffer
}

func (*counter) BufSize() int                 { return 0 }
func (c *counter) Position() (string, uint64) { return strings.Repeat("a", 32), c.last }

func (c *counter) tell() {
	if c.gap > 0 {
		c.last++
	}
	c.gap = 0
}

func (c *counter) Log(m *logdriver.Message) error {
	if c.full {
		c.gap++
		return logdriver.ErrSpoolFull
	}
	c.tell()
	c.last++
	c.lines.Write(m.Line)
	logdriver.PutMessage(m)
	return nil
}

// However the host's own messages about drops are numbered, what follows is logged once:
// after an end between any two steps.
func TestPositionBehindDrops(t *testing.T) {
	t.Parallel()
	for _, told := range []bool{false, true} { // before the end
		for _, logged := range []bool{false, true} { // with its position not yet stored
			s := left(t, nil, position{})
			s.intake.hasty = true
			log := hclog.NewNullLogger()
			service := &Service{log: log}
			c := &container{service: service, log: log}
			l := &counter{}
			d := newDelivery(c, s, l, position{stream: strings.Repeat("a", 32)})
			entry := func(d *delivery, line string) {
				if err := d.logEntry(t.Context(), &frame.Entry{Line: []byte(line), Source: []byte("stdout")}, 10); err != nil {
					t.Fatal(err)
				}
			}
			entry(d, "1")
			l.full = true
			entry(d, "2")
			entry(d, "3")
			l.full = false
			if told {
				l.tell()
			}
			want := "145"
			if logged {
				at := d.at
				entry(d, "4")
				s.position.store(at)
			}
			stream, last := l.Position()
			next := newDelivery(c, s, l, position{stream: stream, seq: last})
			entry(next, "4")
			entry(next, "5")
			if got := l.lines.String(); got != want {
				t.Errorf("told %v, logged %v: %q, want %q", told, logged, got, want)
			}
		}
	}
}

// slowDisk is a logger that takes what it gets, with an error of its own each time.
type slowDisk struct{ counter }

func (s *slowDisk) Log(m *logdriver.Message) error {
	s.last++
	s.lines.Write(m.Line)
	return fmt.Errorf("%w: it takes too long", host.ErrNotDurable)
}

// A message that is accepted is logged once, however long the disk takes, and after an end
// nothing behind it is skipped.
func TestDiskIsSlow(t *testing.T) {
	t.Parallel()
	s := left(t, nil, position{})
	log := hclog.NewNullLogger()
	c := &container{service: &Service{log: log}, log: log}
	l := &slowDisk{}
	entry := func(d *delivery, line string) {
		if err := d.logEntry(t.Context(), &frame.Entry{Line: []byte(line), Source: []byte("stdout")}, 10); err != nil {
			t.Fatal(err)
		}
	}
	d := newDelivery(c, s, l, position{stream: strings.Repeat("a", 32)})
	entry(d, "1")
	entry(d, "2")
	stream, last := l.Position()
	next := newDelivery(c, s, l, position{stream: stream, seq: last})
	entry(next, "3")
	if got := l.lines.String(); got != "123" {
		t.Errorf("it logs %q", got)
	}
}
