//go:build linux

package containerd_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// container is a logger as containerd runs it, without a container: the test holds the
// ends of its pipes.
type container struct {
	t        testing.TB
	cmd      *exec.Cmd
	out, err *os.File
	ready    *os.File
	exited   chan error
	errs     *bytes.Buffer
}

// pipe returns the two ends of a pipe, which are closed at the end of the test.
func pipe(t testing.TB) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

// start runs a logger for the container with the given parameters. extra are descriptors 6
// and on.
func (b *bench) start(id string, program []string, env []string, extra []*os.File, parameters ...string) *container {
	b.t.Helper()
	c := &container{t: b.t, exited: make(chan error, 1), errs: &bytes.Buffer{}}
	outR, outW := pipe(b.t)
	errR, errW := pipe(b.t)
	readyR, readyW := pipe(b.t)
	c.out, c.err, c.ready = outW, errW, readyR
	args := append(program[1:], "socket", b.sock, "state-dir", b.state)
	for _, p := range parameters {
		name, value, _ := strings.Cut(p, "=")
		args = append(args, name, value)
	}
	c.cmd = exec.Command(filepath.Join(programs, program[0]), args...)
	c.cmd.ExtraFiles = append([]*os.File{outR, errR, readyW}, extra...)
	c.cmd.Env = append([]string{"CONTAINER_ID=" + id, "CONTAINER_NAMESPACE=default"}, env...)
	c.cmd.Stderr = c.errs
	if err := c.cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	go func() { c.exited <- c.cmd.Wait() }()
	b.t.Cleanup(func() {
		_ = c.cmd.Process.Kill()
		c.wait()
	})
	for _, f := range c.cmd.ExtraFiles {
		if err := f.Close(); err != nil {
			b.t.Fatal(err)
		}
	}
	return c
}

// alone runs one that works alone.
func (b *bench) alone(id string, parameters ...string) *container {
	b.t.Helper()
	c := b.start(id, aloneProgram, nil, nil, parameters...)
	c.awaitReady()
	return c
}

var aloneProgram = []string{"logplug", "containerd", "--alone", "--"}

// awaitReady waits until the container may start.
func (c *container) awaitReady() {
	c.t.Helper()
	if err := c.ready.SetReadDeadline(time.Now().Add(waitLimit)); err != nil {
		c.t.Fatal(err)
	}
	if n, err := c.ready.Read(make([]byte, 1)); n != 1 || err != nil {
		_ = c.cmd.Process.Kill()
		c.t.Fatalf("logging does not begin: %v, %v", err, c.wait())
	}
}

// end is the end of the container.
func (c *container) end() error {
	c.t.Helper()
	if err := errors.Join(c.out.Close(), c.err.Close()); err != nil {
		c.t.Fatal(err)
	}
	return c.wait()
}

func (c *container) wait() (err error) {
	select {
	case err = <-c.exited:
		c.exited <- err
	case <-time.After(waitLimit):
		_ = c.cmd.Process.Kill()
		return fmt.Errorf("%s does not end", c.cmd)
	}
	if err != nil {
		err = fmt.Errorf("%w: %s", err, c.errs.String())
	}
	return err
}

// job returns the record of a container.
func (b *bench) job(id string) string {
	b.t.Helper()
	out, err := b.logplug("ls", "--output", "json").Output()
	if err != nil {
		b.t.Fatal(err)
	}
	return jobOf(string(out), id)
}

// sink returns parameters for a driver whose sink hangs while a file is there.
func sink(t testing.TB) (parameters []string, out, hang string) {
	t.Helper()
	dir := t.TempDir()
	out, hang = filepath.Join(dir, "out"), filepath.Join(dir, "hang")
	if err := os.WriteFile(hang, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{"driver=sink", "opt.file=" + out, "opt.hang-file=" + hang, "opt.cache-disabled=true"}, out, hang
}

// TestAloneWithAFullSpool: SIGTERM ends a logger also while its driver takes nothing, and the
// record says that output is missing.
func TestAloneWithAFullSpool(t *testing.T) {
	long(t)
	t.Parallel()
	b := newBench(t)
	parameters, _, _ := sink(t)
	c := b.alone("full", parameters...)
	var written atomic.Int64
	writer := make(chan struct{})
	go func() {
		defer close(writer)
		line := append(bytes.Repeat([]byte("x"), 1023), '\n')
		for {
			n, err := c.out.Write(line)
			if err != nil {
				return // the logger has ended
			}
			written.Add(int64(n))
		}
	}()
	poll(t, "the spool to fill up", func() bool { return written.Load() > 2<<20 })
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	poll(t, "the logger to end", func() bool {
		select {
		case err := <-c.exited:
			c.exited <- err
			return true
		default:
			return false
		}
	})
	select {
	case <-writer:
	case <-time.After(waitLimit):
		t.Fatal("writing to the pipe does not end with its reader")
	}
	job := b.job("full")
	if !strings.Contains(job, `"state": "exited"`) || !strings.Contains(job, "was not read") {
		t.Errorf("the record says: %s", job)
	}
}

// TestDropsAreNoLoss: what mode=non-blocking drops is what the user wants.
func TestDropsAreNoLoss(t *testing.T) {
	long(t)
	t.Parallel()
	b := newBench(t)
	parameters, out, hang := sink(t)
	c := b.alone("hasty", append(parameters, "opt.mode=non-blocking", "opt.max-buffer-size=64k")...)
	line := strings.Repeat("x", 999) + "\n"
	if err := c.out.SetWriteDeadline(time.Now().Add(waitLimit)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.out.WriteString(strings.Repeat(line, 2000)); err != nil {
		t.Fatal(err)
	}
	poll(t, "everything to be read", func() bool { return unread(t, c.out) == 0 })
	if err := os.Remove(hang); err != nil {
		t.Fatal(err)
	}
	if err := c.end(); err != nil {
		t.Error(err)
	}
	b.deliver("hasty")
	text, err := os.ReadFile(out)
	if err != nil || !strings.Contains(string(text), "dropped") {
		t.Errorf("the log does not tell of drops: %.100q, %v", text, err)
	}
	if job := b.job("hasty"); !strings.Contains(job, `"state": "exited"`) || strings.Contains(job, "lost") {
		t.Errorf("the record says: %s", job)
	}
}

// unread returns how many bytes are in a pipe.
func unread(t *testing.T, pipe *os.File) (n int) {
	t.Helper()
	raw, err := pipe.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { n, _ = unix.IoctlGetInt(int(fd), unix.TIOCINQ) })
	}
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestForeignCarryFile: a container is logged on when what was read of it cannot be
// understood, and the record says so.
func TestForeignCarryFile(t *testing.T) {
	long(t)
	t.Parallel()
	b := newBench(t)
	foreign, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	c := b.start("foreign", aloneProgram, []string{"LOGPLUG_CARRY_FD=6"}, []*os.File{foreign}, "driver=jsonfile")
	c.awaitReady()
	if _, err := c.out.WriteString("one\ntwo\n"); err != nil {
		t.Fatal(err)
	}
	if err := c.end(); err == nil || !strings.Contains(err.Error(), "carry file") {
		t.Errorf("it ends with %v", err)
	}
	b.deliver("foreign")
	if out, _ := b.logs("foreign"); out != "one\ntwo\n" {
		t.Errorf("the log has %q", out)
	}
	if job := b.job("foreign"); !strings.Contains(job, "carry file") {
		t.Errorf("the record says: %s", job)
	}
}

// TestRestartWhileClosing: a container that is started again is logged, while its driver is
// still being waited for.
func TestRestartWhileClosing(t *testing.T) {
	long(t)
	t.Parallel()
	b := newBench(t)
	s := b.serve("--close-timeout", "2s")
	parameters, out, hang := sink(t)
	for i := range 2 {
		c := b.start("again", []string{"logplug-containerd"}, nil, nil, parameters...)
		c.awaitReady()
		if _, err := fmt.Fprintf(c.out, "run %d\n", i); err != nil {
			t.Fatal(err)
		}
		if err := c.end(); err != nil {
			t.Error(err)
		}
	}
	if err := os.Remove(hang); err != nil {
		t.Fatal(err)
	}
	delivered := func(run string) func() bool {
		return func() bool {
			text, _ := os.ReadFile(out)
			return strings.Contains(string(text), run)
		}
	}
	poll(t, "the second run", delivered(" run 1\n"))
	s.stop()
	b.serve()
	poll(t, "the first run, which was given up for the time being", delivered(" run 0\n"))
}

// TestLeftoverBehindAnother: a sink that is down does not keep what is left for others from
// being delivered.
func TestLeftoverBehindAnother(t *testing.T) {
	long(t)
	t.Parallel()
	b := newBench(t)
	var out, hang [2]string
	for i := range out {
		var parameters []string
		parameters, out[i], hang[i] = sink(t)
		c := b.alone(fmt.Sprint("behind-", i), parameters...)
		if _, err := c.out.WriteString("one\n"); err != nil {
			t.Fatal(err)
		}
		if err := c.end(); err != nil {
			t.Error(err)
		}
	}
	if err := os.Remove(hang[1]); err != nil {
		t.Fatal(err)
	}
	b.serve()
	for _, i := range []int{1, 0} {
		poll(t, "what is left", func() bool {
			text, _ := os.ReadFile(out[i])
			return string(text) == "1 one\n"
		})
		if i == 1 {
			if err := os.Remove(hang[0]); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestLeftoverWithoutItsDriver: what a serve cannot deliver, because it lacks the driver that a
// container's URI named, is there for one that has it.
func TestLeftoverWithoutItsDriver(t *testing.T) {
	long(t)
	t.Parallel()
	b := newBench(t)
	drivers := t.TempDir()
	if err := os.Link(filepath.Join(programs, "drivers", "logplug-driver-sink"), filepath.Join(drivers, "logplug-driver-rare")); err != nil {
		t.Fatal(err)
	}
	parameters, out, hang := sink(t)
	parameters[0] = "driver=rare"
	c := b.alone("rare", append(parameters, "plugin-dir="+drivers)...)
	if _, err := c.out.WriteString("one\n"); err != nil {
		t.Fatal(err)
	}
	if err := c.end(); err != nil {
		t.Error(err)
	}
	if err := os.Remove(hang); err != nil {
		t.Fatal(err)
	}
	s := b.serve()
	poll(t, "a serve without the driver to see it", func() bool { return strings.Contains(s.output(), "driver that is not there") })
	s.stop()
	b.serve("--plugin-dir", drivers)
	poll(t, "what is left", func() bool {
		text, _ := os.ReadFile(out)
		return string(text) == "1 one\n"
	})
}
