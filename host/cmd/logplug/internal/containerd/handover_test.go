//go:build linux

package containerd_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/logplug/logplug/host/cmd/logplug/internal/carry"
	"github.com/logplug/logplug/host/cmd/logplug/internal/handover"
	"github.com/logplug/logplug/host/internal/engine"
	"golang.org/x/sys/unix"
)

var relayProgram = []string{"logplug-containerd"}

// awaitAlone waits until a container's logger works alone.
func (c *container) awaitAlone() {
	c.t.Helper()
	poll(c.t, "logging alone", func() bool {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", c.cmd.Process.Pid))
		return strings.Contains(string(text), "\x00--alone\x00")
	})
}

// awaitConnected waits until somebody is connected to the server's socket.
func (b *bench) awaitConnected() {
	b.t.Helper()
	poll(b.t, "a connection to the server", func() bool {
		text, _ := os.ReadFile("/proc/net/unix")
		for line := range strings.Lines(string(text)) {
			const connected = "03"
			if f := strings.Fields(line); len(f) == 8 && f[5] == connected && strings.HasPrefix(f[7], b.sock) {
				return true
			}
		}
		return false
	})
}

// TestServeStoppedWhileOpening: a container that starts while serve is being stopped is logged
// alone.
func TestServeStoppedWhileOpening(t *testing.T) {
	long(t)
	t.Parallel()
	b := newBench(t)
	first := b.alone("twice", "driver=jsonfile")
	s := b.serve()
	second := b.start("twice", relayProgram, nil, nil, "driver=jsonfile") // waits for the first
	b.awaitConnected()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	second.awaitAlone()
	for i, c := range []*container{first, second} {
		if i > 0 {
			c.awaitReady()
		}
		if _, err := fmt.Fprintf(c.out, "run %d\n", i); err != nil {
			t.Fatal(err)
		}
		if err := c.end(); err != nil {
			t.Error(err)
		}
	}
	b.deliver("twice")
	out, _ := b.logs("twice")
	compare(t, "the log", out, "run 0\nrun 1\n")
}

// briefRelay makes the test's program, with a socket's path, a relay that hands over the
// files behind its standard ones and ends as if it were killed before it says Go.
const briefRelay = "LOGPLUG_TEST_BRIEF_RELAY"

func handOverOnly(socket string) (code int) {
	if err := tryHandOver(socket); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func tryHandOver(socket string) error {
	const first = 3
	files := []int{first, first + 1}
	if os.Getenv(briefRelay+"_CARRY") != "" {
		files = append(files, first+2)
	}
	request := handover.Request{ID: "brief", Namespace: "default", Settings: []string{"driver", "jsonfile"}}
	packet, err := request.Marshal()
	if err != nil {
		return err
	}
	fd, err := handover.Dial(socket)
	if err != nil {
		return err
	}
	if err := handover.Send(fd, packet, files...); err != nil {
		return err
	}
	answer, _, err := handover.Receive(fd, make([]byte, 1024))
	if err == nil && answer[0] != handover.Ready {
		err = fmt.Errorf("the answer is %q", answer)
	}
	return err
}

// handOver hands the pipes of a container over in a process that ends at once, and returns the
// end that the container writes to. carried are other files.
func (b *bench) handOver(carried ...*os.File) (out *os.File) {
	b.t.Helper()
	outR, out := pipe(b.t)
	errR, errW := pipe(b.t)
	self, err := os.Executable()
	if err != nil {
		b.t.Fatal(err)
	}
	cmd := engine.Command(context.Background(), waitLimit, self)
	cmd.ExtraFiles = append([]*os.File{outR, errR}, carried...)
	cmd.Env = append(os.Environ(), briefRelay+"="+b.sock)
	if len(carried) > 0 {
		cmd.Env = append(cmd.Env, briefRelay+"_CARRY=1")
	}
	if text, err := cmd.CombinedOutput(); err != nil {
		b.t.Fatalf("%v: %s", err, text)
	}
	for _, f := range []*os.File{outR, errR, errW} {
		if err := f.Close(); err != nil {
			b.t.Fatal(err)
		}
	}
	return out
}

// TestRelayKilledBeforeGo: serve goes on with a container that was logged before, whose pipes
// nobody else has. One that is just starting it lets go.
func TestRelayKilledBeforeGo(t *testing.T) {
	long(t)
	t.Parallel()
	for _, running := range []bool{true, false} {
		b := newBench(t)
		b.serve()
		var carried []*os.File
		if running {
			f, err := carry.Create(1000)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			fd, err := unix.Dup(f.FD())
			if err != nil {
				t.Fatal(err)
			}
			carried = append(carried, os.NewFile(uintptr(fd), "carry"))
		}
		out := b.handOver(carried...)
		if !running {
			poll(t, "the pipe to be closed", func() bool {
				_, err := out.WriteString("one\n")
				return errors.Is(err, syscall.EPIPE)
			})
			continue
		}
		if _, err := out.WriteString("one\n"); err != nil {
			t.Fatal(err)
		}
		if err := out.Close(); err != nil {
			t.Fatal(err)
		}
		b.ended("brief")
		if got, _ := b.logs("brief"); got != "one\n" {
			t.Errorf("the log has %q", got)
		}
	}
}

// TestUnwrittenEnd: an id can be used again once the record of its container's end, which could
// not be written at first, can be.
func TestUnwrittenEnd(t *testing.T) {
	long(t)
	t.Parallel()
	b := newBench(t)
	s := b.serve("--close-timeout", "1s")
	records := filepath.Join(b.state, "jobs")
	for i := range 2 {
		c := b.start("again", relayProgram, nil, nil, "driver=jsonfile")
		c.awaitReady()
		if i == 0 { // a file in place of the directory
			if err := errors.Join(os.Rename(records, records+".away"), os.WriteFile(records, nil, 0o600)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := fmt.Fprintf(c.out, "run %d\n", i); err != nil {
			t.Fatal(err)
		}
		if err := c.end(); err != nil {
			t.Error(err)
		}
		if i == 0 {
			poll(t, "the record not to be written", func() bool { return strings.Contains(s.output(), "is not complete") })
			if err := errors.Join(os.Remove(records), os.Rename(records+".away", records)); err != nil {
				t.Fatal(err)
			}
		}
	}
	b.ended("again")
	out, _ := b.logs("again")
	compare(t, "the log", out, "run 0\nrun 1\n")
}

// TestServeThatNeverTakes: a container is logged alone when a serve is there for longer than
// takeover and takes it no more than one that is not.
func TestServeThatNeverTakes(t *testing.T) {
	long(t)
	t.Parallel()
	b := newBench(t)
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: b.sock, Net: "unixpacket"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := b.start("ignored", relayProgram, nil, nil, "driver=jsonfile", "takeover=300ms")
	if err := takeOnce(l); err != nil {
		t.Fatal(err)
	}
	c.awaitReady()
	go func() {
		for { // each connection ends without an answer
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	c.awaitAlone()
	if _, err := c.out.WriteString("one\n"); err != nil {
		t.Fatal(err)
	}
	if err := c.end(); err != nil {
		t.Error(err)
	}
	b.deliver("ignored")
	out, _ := b.logs("ignored")
	compare(t, "the log", out, "one\n")
}

// takeOnce takes a container as serve does, and is gone then.
func takeOnce(l *net.UnixListener) error {
	if err := l.SetDeadline(time.Now().Add(waitLimit)); err != nil {
		return err
	}
	conn, err := l.AcceptUnix()
	if err != nil {
		return err
	}
	defer conn.Close()
	f, err := carry.Create(1000)
	if err != nil {
		return err
	}
	defer f.Close()
	buf := make([]byte, handover.MaxPacket)
	if err := conn.SetDeadline(time.Now().Add(waitLimit)); err != nil {
		return err
	}
	if _, err := conn.Read(buf); err != nil { // the files are closed by the kernel
		return err
	}
	if _, _, err := conn.WriteMsgUnix([]byte{handover.Ready}, unix.UnixRights(f.FD()), nil); err != nil {
		return err
	}
	n, err := conn.Read(buf)
	if err == nil && (n != 1 || buf[0] != handover.Go) {
		err = fmt.Errorf("the answer is %q", buf[:n])
	}
	return errors.Join(err, l.SetDeadline(time.Time{}))
}

// TestServeKilledWhileClosing: a container whose end its process was told of has ended for the
// next serve, too, when that has delivered what is left.
func TestServeKilledWhileClosing(t *testing.T) {
	long(t)
	t.Parallel()
	b := newBench(t)
	s := b.serve("--close-timeout", "1m")
	parameters, out, hang := sink(t)
	c := b.start("closing", relayProgram, nil, nil, parameters...)
	c.awaitReady()
	if _, err := c.out.WriteString("one\n"); err != nil {
		t.Fatal(err)
	}
	if err := c.end(); err != nil {
		t.Error(err)
	}
	addMissing(t, filepath.Join(b.state, "ended", "closing"), "a line")
	s.kill()
	if err := os.Remove(hang); err != nil {
		t.Fatal(err)
	}
	b.serve()
	b.ended("closing")
	if text, err := os.ReadFile(out); err != nil || !strings.HasSuffix(string(text), "1 one\n") {
		t.Errorf("the driver has %q, %v", text, err)
	}
	if job := b.job("closing"); !strings.Contains(job, `"exitCode": 0`) || !strings.Contains(job, `"trouble": "a line"`) {
		t.Errorf("the record says: %s", job)
	}
	poll(t, "the note to be removed", func() bool {
		left, err := os.ReadDir(filepath.Join(b.state, "ended"))
		return err == nil && len(left) == 0
	})
}

// addMissing adds to the note of a container's end what is missing in its log.
func addMissing(t *testing.T, note, what string) {
	t.Helper()
	f, err := os.OpenFile(note, os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString(what)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}
