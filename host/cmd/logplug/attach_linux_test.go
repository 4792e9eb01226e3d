package main

import (
	"bufio"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/logplug/logplug/shared/wire"
)

// TestAttach: with the variable that a driver under a debugger prints, one run after
// the other uses it.
func TestAttach(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	debugged := exec.Command(jsonfile(t), "--debug")
	debugged.Env = s.env
	out, err := debugged.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := debugged.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = debugged.Process.Kill()
		_ = debugged.Wait()
	}()
	attach := ""
	for lines := bufio.NewScanner(out); attach == "" && lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), wire.EnvAttach+"="); ok {
			attach = strings.Trim(value, "'")
		}
	}
	s.env = append(s.env, wire.EnvAttach+"="+attach)
	for _, id := range []string{"one", "two"} {
		s.run("run", "--driver", "jsonfile", "--id", id, "--", "echo", id)
		got, _ := s.run("logs", id)
		same(t, "stdout", got, []byte(id+"\n"))
	}
	if err := debugged.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("the driver under the debugger: %v", err)
	}
	listed, _ := s.run("drivers", "jsonfile")
	if !strings.Contains(string(listed), "attached to instead") {
		t.Errorf("the drivers do not tell of the attached one:\n%s", listed)
	}
}
