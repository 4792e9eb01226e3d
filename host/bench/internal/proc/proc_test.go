package proc

import (
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"
)

func TestCPUOfSelfAndByNumberAgree(t *testing.T) {
	spend(t, 20*time.Millisecond)
	byNumber, err := CPU(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	self, err := CPU(Self)
	if err != nil {
		t.Fatal(err)
	}
	if byNumber < 20*time.Millisecond || self < byNumber || self-byNumber > time.Second {
		t.Errorf("CPU by number %v, of self %v", byNumber, self)
	}
	if _, err := CPU(1 << 22); err == nil {
		t.Error("no error for a process that does not exist")
	}
}

// spend keeps a processor busy until this process's clock has gone on by d,
// however long the machine takes for it.
func spend(t *testing.T, d time.Duration) {
	t.Helper()
	from, err := CPU(Self)
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; {
		switch now, err := CPU(Self); {
		case err != nil:
			t.Fatal(err)
		case now-from >= d:
			return
		case time.Now().After(deadline):
			t.Fatalf("a minute of work took %v of CPU time", now-from)
		}
	}
}

func TestMemory(t *testing.T) {
	self, err := Memory(Self)
	if err != nil {
		t.Skip("the kernel does not tell: ", err)
	}
	if self < 1<<20 || self > 1<<30 {
		t.Errorf("this process has %d bytes", self)
	}
}

func TestSleepUntil(t *testing.T) {
	due := Monotonic() + int64(2*time.Millisecond)
	SleepUntil(due)
	if now := Monotonic(); now < due {
		t.Errorf("woke %d ns early", due-now)
	}
}

func TestFind(t *testing.T) {
	marker := t.TempDir()
	cmd := exec.Command("cat", "-", marker) // until its input ends
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// Start returns before the kernel shows the new program's arguments.
	if _, err := in.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	pids, err := Find(marker)
	if err != nil || !slices.Equal(pids, []int{cmd.Process.Pid}) {
		t.Errorf("found %v, %v, expected %d", pids, err, cmd.Process.Pid)
	}
	in.Close()
	_ = cmd.Wait() // cat does not read directories
}
