package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/logplug/logplug/host/internal/terminaltest"
)

// TestTerminalInterrupt types ^C at the terminal of logplug: the command gets it, and
// once; the driver lives on, and takes what the command says to it.
func TestTerminalInterrupt(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	user, program := terminaltest.Open(t)
	cmd := s.command("run", "--id", "x", "--", "prog", "signals")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = program, program, program
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	logged := func(text string) func() bool {
		return func() bool { return contains(filepath.Join(s.dir, "state/logs/x/x.log"), text) }
	}
	if err := poll(logged("ready")); err != nil {
		t.Fatal("the command does not start:", err)
	}
	for range 2 {
		if _, err := user.WriteString("\x03"); err != nil {
			t.Fatal(err)
		}
		if err := poll(logged("got interrupt")); err != nil {
			t.Fatal("^C does not arrive:", err)
		}
	}
	if err := poll(func() bool {
		b, _ := os.ReadFile(filepath.Join(s.dir, "state/logs/x/x.log"))
		return bytes.Count(b, []byte("got interrupt")) == 2
	}); err != nil {
		t.Error("^C, typed twice, does not arrive twice:", err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if _ = cmd.Wait(); cmd.ProcessState.ExitCode() != 7 {
		t.Errorf("exit code %d, want 7", cmd.ProcessState.ExitCode())
	}
	stdout, _ := s.run("logs", "x")
	if n := strings.Count(string(stdout), "got interrupt"); n != 2 {
		t.Errorf("the command got %d interrupts, want 2:\n%s", n, stdout)
	}
}
