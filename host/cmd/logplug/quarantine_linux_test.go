package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestQuarantineIsListed: logplug drivers tells of a driver whose processes end again
// and again in a run, for as long as that goes on.
func TestQuarantineIsListed(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	record, broken := filepath.Join(s.dir, "state", "jobs", "x.json"), filepath.Join(s.dir, "drivers", ".broken")
	cmd := s.command("run", "--driver", "box", "--id", "x", "--", "prog", "lines")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("logplug run said:\n%s", &stderr)
		}
	}()
	await := func(text string) {
		if err := poll(func() bool { return contains(record, text) }); err != nil {
			t.Fatalf("the record of the job has no %q: %v", text, err)
		}
	}
	await(`"commandPid"`)
	if err := os.WriteFile(broken, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(stdin, "EXIT\n"); err != nil {
		t.Fatal(err)
	}
	await(`"quarantined"`)
	listed, _ := s.run("drivers")
	if line := lineOf(listed, "box"); !strings.Contains(line, " quarantined ") || !strings.Contains(line, "in job x: ") || !strings.Contains(line, "this box is broken") {
		t.Errorf("listed while the driver is in quarantine: %q", line)
	}
	if line := lineOf(listed, "jsonfile"); !strings.Contains(line, " ok ") {
		t.Errorf("another driver is listed as %q", line)
	}
	if err := os.Remove(broken); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	listed, _ = s.run("drivers", "box")
	if line := lineOf(listed, "box"); !strings.Contains(line, " ok ") {
		t.Errorf("listed when the run has ended: %q", line)
	}
}

// lineOf returns the line of a table whose first column is the name.
func lineOf(table []byte, name string) string {
	for line := range strings.Lines(string(table)) {
		if strings.HasPrefix(line, name+" ") {
			return line
		}
	}
	return ""
}
