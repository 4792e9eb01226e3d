//go:build unix

package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// started is logplug running a command in the background.
type started struct {
	*exec.Cmd
	shell *shell
	out   string // the file that has its output
}

// start starts logplug in a session of its own, so that it has no terminal.
func (s *shell) start(args ...string) *started {
	s.Helper()
	cmd := s.command(args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	r := &started{Cmd: cmd, shell: s, out: filepath.Join(s.dir, "output")}
	f, err := os.Create(r.out)
	if err != nil {
		s.Fatal(err)
	}
	defer f.Close()
	cmd.Stdout, cmd.Stderr = f, f
	if err := cmd.Start(); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	return r
}

// expect waits until the output contains text.
func (r *started) expect(text string) {
	r.shell.Helper()
	if err := poll(func() bool { return contains(r.out, text) }); err != nil {
		b, _ := os.ReadFile(r.out)
		r.shell.Fatalf("no %q within %v in:\n%s", text, waitLimit, b)
	}
}

// code waits for the end and returns the exit code, -1 after a signal.
func (r *started) code() int {
	r.shell.Helper()
	late := time.AfterFunc(time.Minute, func() { // a signal that was not heeded
		_ = r.Process.Kill()
	})
	defer late.Stop()
	err := r.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		r.shell.Fatal(err)
	}
	return r.ProcessState.ExitCode()
}

func TestSignalsAreHandedOn(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	r := s.start("run", "--id", "x", "--tee", "--", "prog", "signals")
	r.expect("ready")
	for _, sig := range []syscall.Signal{
		syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGWINCH,
	} {
		if signal.Ignored(sig) { // so it is for logplug, as under nohup
			continue
		}
		if err := r.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		r.expect("got " + sig.String())
	}
	if err := r.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := r.code(); code != 7 {
		t.Errorf("exit code %d, want the command's, 7", code)
	}
	stdout, _ := s.run("logs", "x")
	for _, want := range []string{"got user defined signal 1\n", "got interrupt\n", "got terminated\n"} {
		if bytes.Count(stdout, []byte(want)) != 1 {
			t.Errorf("log does not have %q once:\n%s", want, stdout)
		}
	}
}

// TestGroupSignal sends a signal to logplug's whole process group, as a supervisor
// would: the command gets it once.
func TestGroupSignal(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	r := s.start("run", "--id", "x", "--tee", "--", "prog", "signals")
	r.expect("ready")
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		if err := syscall.Kill(-r.Process.Pid, sig); err != nil {
			t.Fatal(err)
		}
		r.expect("got " + sig.String())
	}
	if code := r.code(); code != 7 {
		t.Errorf("exit code %d, want 7", code)
	}
	stdout, _ := s.run("logs", "x")
	if n := bytes.Count(stdout, []byte("got ")); n != 2 {
		t.Errorf("the command got %d signals, want 2:\n%s", n, stdout)
	}
}

// TestKilledHost demands that the command ends with a logplug that was killed.
func TestKilledHost(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	r := s.start("run", "--id", "x", "--tee", "--", "sh", "-c", `trap "echo over >done; exit" TERM; echo ready; while :; do sleep 0.05; done`)
	r.expect("ready")
	if err := r.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := poll(func() bool { return contains(filepath.Join(s.dir, "done"), "over") }); err != nil {
		t.Error("the command lives on")
	}
}

func TestInterruptedFollow(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	job := s.start("run", "--id", "x", "--", "prog", "signals")
	if err := poll(func() bool { return contains(filepath.Join(s.dir, "state/jobs/x.json"), "commandPid") }); err != nil {
		t.Fatal(err)
	}
	follow := s.command("logs", "-f", "x")
	out := filepath.Join(s.dir, "followed")
	f, err := os.Create(out)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var stderr bytes.Buffer
	follow.Stdout, follow.Stderr = f, &stderr
	if err := follow.Start(); err != nil {
		t.Fatal(err)
	}
	if err := poll(func() bool { return contains(out, "ready") }); err != nil {
		t.Error(err)
	}
	_ = follow.Process.Signal(os.Interrupt)
	late := time.AfterFunc(time.Minute, func() { _ = follow.Process.Kill() })
	defer late.Stop()
	if _ = follow.Wait(); follow.ProcessState.ExitCode() != 130 || stderr.Len() > 0 {
		t.Errorf("exit code %d, want 130; stderr %q, want nothing", follow.ProcessState.ExitCode(), &stderr)
	}
	_ = job.Process.Signal(syscall.SIGTERM)
	job.code()
}
