package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// children returns the processes that parent has started.
func children(t *testing.T, parent int) (pids []int) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range stats {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(fields) > 1 && fields[1] == strconv.Itoa(parent) {
			pid, _ := strconv.Atoi(strings.Split(path, "/")[2])
			pids = append(pids, pid)
		}
	}
	return pids
}

// TestFollowOutlivesDriver kills the driver's process of a running job again and again: no line is
// lost, and one who follows in another process sees all of them, once.
func TestFollowOutlivesDriver(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	fifo := filepath.Join(s.dir, "in")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	in, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	job := s.start("run", "--id", "x", "--", "sh", "-c", `exec prog lines "> " <"$1"`, "-", fifo)
	if err := poll(func() bool { return contains(filepath.Join(s.dir, "state/jobs/x.json"), "commandPid") }); err != nil {
		t.Fatal(err)
	}
	var command int
	follow := s.command("logs", "-f", "x")
	path := filepath.Join(s.dir, "followed")
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	follow.Stdout, follow.Stderr = out, os.Stderr
	if err := follow.Start(); err != nil {
		t.Fatal(err)
	}
	var want bytes.Buffer
	say := func(line string) {
		fmt.Fprintln(in, line)
		fmt.Fprintln(&want, "> "+line)
		if err := poll(func() bool { return contains(path, "> "+line+"\n") }); err != nil {
			t.Fatalf("line %q does not arrive", line)
		}
	}
	say("first")
	for i := range 3 {
		for _, pid := range children(t, job.Process.Pid) {
			name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
			if bytes.HasPrefix(name, []byte("prog\x00")) {
				command = pid
				continue
			}
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		if command == 0 {
			t.Fatal("the command does not run")
		}
		say(fmt.Sprintf("after kill %d", i+1))
		say(fmt.Sprintf("and once more %d", i+1))
	}
	fmt.Fprintln(in, "end")
	if code := job.code(); code != 0 {
		said, _ := os.ReadFile(job.out)
		t.Errorf("run: exit code %d:\n%s", code, said)
	}
	if err := follow.Wait(); err != nil {
		t.Errorf("logs: %v", err)
	}
	got, _ := os.ReadFile(path)
	same(t, "followed", got, want.Bytes())
	stdout, _ := s.run("logs", "x")
	same(t, "logs", stdout, want.Bytes())
}
