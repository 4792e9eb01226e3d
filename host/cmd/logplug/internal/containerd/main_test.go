//go:build linux

package containerd_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/logplug/logplug/host/internal/engine"
	"github.com/logplug/logplug/host/internal/filelock"
)

// programs is the directory with what the tests run, built once: it looks as an
// installation does.
var programs string

func TestMain(m *testing.M) {
	if socket := os.Getenv(briefRelay); socket != "" {
		os.Exit(handOverOnly(socket))
	}
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	if programs, err = os.MkdirTemp("", "logplug-containerd-test-"); err != nil {
		return 0, err
	}
	defer os.RemoveAll(programs)
	const module = "github.com/logplug/logplug/"
	for name, pkg := range map[string]string{
		"logplug":                         "host/cmd/logplug",
		"logplug-containerd":              "host/cmd/logplug/logplug-containerd",
		"drivers/logplug-driver-jsonfile": "drivers/jsonfile",
		"drivers/logplug-driver-local":    "drivers/local",
		"drivers/logplug-driver-sink":     "sdk/testdrivers/sink",
	} {
		cmd := exec.Command("go", "build", "-o", filepath.Join(programs, name), module+pkg)
		if name == "logplug-containerd" {
			cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=") // as it is installed: its memory is measured
		}
		out, err := cmd.CombinedOutput()
		if err != nil {
			return 0, fmt.Errorf("build %s: %w\n%s", name, err, out)
		}
	}
	if _, err := engine.Payload(context.Background(), programs); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

// long skips a test with -short, which goes with the race detector: this one runs
// programs that are built without it.
func long(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("skipped with -short: it runs programs only")
	}
}

// waitLimit is for how long something may take on a machine that is busy.
const waitLimit = time.Minute

// poll waits until done says so.
func poll(t testing.TB, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	limit := time.NewTimer(waitLimit)
	defer limit.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-limit.C:
			t.Fatalf("waited for too long: %s", what)
		}
	}
}

// bench is where a test's containers log to.
type bench struct {
	t     testing.TB
	state string
	sock  string
}

func newBench(t testing.TB) *bench {
	dir := t.TempDir()
	// Names of sockets are short.
	sockets, err := os.MkdirTemp("", "lp")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(sockets) })
	return &bench{t: t, state: filepath.Join(dir, "state"), sock: filepath.Join(sockets, "s")}
}

// uri returns a log URI for the test.
func (b *bench) uri(parameters ...string) string {
	all := append([]string{"socket=" + b.sock, "state-dir=" + b.state}, parameters...)
	return "binary://" + filepath.Join(programs, "logplug-containerd") + "?" + strings.Join(all, "&")
}

// logplug runs a command that ends by itself.
func (b *bench) logplug(args ...string) *exec.Cmd {
	return engine.Command(context.Background(), waitLimit, filepath.Join(programs, "logplug"), b.args(args...)...)
}

func (b *bench) args(args ...string) []string {
	return append([]string{"--state-dir", b.state}, args...)
}

// ended waits until the log of a container is complete.
func (b *bench) ended(id string) {
	b.t.Helper()
	poll(b.t, "the log of "+id, func() bool {
		out, err := b.logplug("ls", "--output", "json").Output()
		return err == nil && strings.Contains(jobOf(string(out), id), `"state": "exited"`)
	})
}

// jobOf cuts a job out of what logplug ls prints.
func jobOf(list, id string) string {
	_, rest, ok := strings.Cut(list, `"id": "`+id+`"`)
	if !ok {
		return ""
	}
	job, _, _ := strings.Cut(rest, `"id": "`)
	return job
}

// logs returns what logplug logs prints.
func (b *bench) logs(id string) (stdout, stderr string) {
	b.t.Helper()
	var out, errs bytes.Buffer
	cmd := b.logplug("logs", id)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		b.t.Fatalf("logplug logs %s: %v: %s", id, err, errs.String())
	}
	return out.String(), errs.String()
}

// deliver has a serve deliver what a logger that worked alone, and has ended, left because its
// driver took too long.
func (b *bench) deliver(id string) {
	b.t.Helper()
	dir := filepath.Join(b.state, "spools", id)
	lock, err := filelock.Acquire(filepath.Join(dir, "lock")) // it may not be quite at its end
	if errors.Is(err, fs.ErrNotExist) {
		return // nothing is left
	}
	if err == nil {
		err = lock.Close()
	}
	if err != nil {
		b.t.Fatal(err)
	}
	s := b.serve()
	poll(b.t, "what is left of "+id, func() bool {
		_, err := os.Stat(dir)
		return errors.Is(err, fs.ErrNotExist)
	})
	s.stop()
}

// server is a logplug serve.
type server struct {
	b    *bench
	cmd  *exec.Cmd
	errs *bytes.Buffer
	done chan error
}

// serve starts one and waits until it serves.
func (b *bench) serve(args ...string) *server {
	b.t.Helper()
	s := &server{b: b, errs: &bytes.Buffer{}, done: make(chan error, 1)}
	s.cmd = exec.Command(filepath.Join(programs, "logplug"), b.args(append([]string{"serve", "--socket", b.sock}, args...)...)...)
	_ = os.Remove(b.sock)
	out, err := os.Create(b.sock + ".out")
	if err != nil {
		b.t.Fatal(err)
	}
	defer out.Close()
	s.cmd.Stderr = out
	if err := s.cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	go func() { s.done <- s.cmd.Wait() }()
	b.t.Cleanup(s.kill)
	poll(b.t, "logplug serve", func() bool { return strings.Contains(s.output(), "ready") })
	return s
}

func (s *server) output() string {
	text, _ := os.ReadFile(s.b.sock + ".out")
	return string(text)
}

func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	s.wait()
	if text := s.output(); strings.Contains(text, "DATA RACE") || strings.Contains(text, "panic:") {
		s.b.t.Errorf("logplug serve printed: %s", text)
	}
}

// stop ends it in good order.
func (s *server) stop() {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.b.t.Error(err)
	}
	s.wait()
}

// wait waits for its end.
func (s *server) wait() {
	select {
	case err := <-s.done:
		s.done <- err
	case <-time.After(waitLimit):
		s.b.t.Errorf("logplug serve does not end; it printed: %s", s.output())
		_ = s.cmd.Process.Kill()
	}
}

// payload returns what the payload prints outside of a container.
func payload(t testing.TB, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := engine.Command(context.Background(), waitLimit, filepath.Join(programs, "payload"), args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	return out.String(), errs.String()
}
