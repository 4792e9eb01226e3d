package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// spoolStart is how much of a spool's file, which is large and sparse, is searched.
const spoolStart = 1 << 20

// spools tells whether a file of the directory has the text near its beginning.
func spools(dir, text string) bool {
	files, _ := filepath.Glob(filepath.Join(dir, "*"))
	for _, path := range files {
		f, err := os.Open(path)
		if err != nil {
			continue // removed meanwhile
		}
		b, _ := io.ReadAll(io.LimitReader(f, spoolStart))
		f.Close()
		if bytes.Contains(b, []byte(text)) {
			return true
		}
	}
	return false
}

// TestSpoolOutlivesLogplug kills logplug while its driver takes nothing. The next
// one on the spool directory delivers what is left, though it runs another job.
func TestSpoolOutlivesLogplug(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{"none", "interval", "always"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			testSpool(t, policy)
		})
	}
}

func testSpool(t *testing.T, policy string) {
	s := newShell(t)
	spool := filepath.Join(s.dir, "spool")
	fifo := filepath.Join(s.dir, "in")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	in, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	flags := []string{"--spool-dir", spool, "--spool-sync", policy}
	job := s.start(append(append([]string{"run", "--id", "first"}, flags...),
		"--", "sh", "-c", `exec prog lines "> " <"$1"`, "-", fifo)...)
	var want bytes.Buffer
	say := func(line string) {
		fmt.Fprintln(in, line)
		fmt.Fprintln(&want, "> "+line)
	}
	say("before")
	log := filepath.Join(s.dir, "state/logs/first/first.log")
	if err := poll(func() bool { return contains(log, "> before") }); err != nil {
		t.Fatal(err)
	}
	// Where the machine is slow, the driver is taken for one that hangs: another one of it
	// would deliver what is to be in the spool.
	drivers := filepath.Join(s.dir, "drivers")
	if err := os.Rename(drivers, drivers+".away"); err != nil {
		t.Fatal(err)
	}
	stopDriver(t, job.Process.Pid)
	for i := range 100 {
		say(fmt.Sprintf("line %d", i))
	}
	if err := poll(func() bool { return spools(spool, "> line 99") }); err != nil {
		t.Fatal("the last line is not in the spool")
	}
	if err := job.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = job.Wait()
	fmt.Fprintln(in, "end") // so that the command ends too
	if contains(log, "> line 0") {
		t.Fatal("the driver has what is to be in the spool")
	}
	if err := os.Rename(drivers+".away", drivers); err != nil {
		t.Fatal(err)
	}
	s.run(append(append([]string{"run", "--id", "second"}, flags...), "--", "prog", "exit", "0")...)
	got, _ := s.run("logs", "first")
	same(t, "log of the first job", got, want.Bytes())
	got, _ = s.run("logs", "second")
	same(t, "log of the second job", got, nil)
}

// stopDriver stops the processes of the drivers of a logplug.
func stopDriver(t *testing.T, logplug int) {
	t.Helper()
	stopped := false
	for _, pid := range children(t, logplug) {
		name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if bytes.HasPrefix(name, []byte("prog\x00")) {
			continue
		}
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		stat := fmt.Sprintf("/proc/%d/stat", pid)
		if err := poll(func() bool { return contains(stat, ") T ") }); err != nil {
			t.Fatal("the driver does not stop")
		}
		stopped = true
	}
	if !stopped {
		t.Fatal("no driver runs")
	}
}
