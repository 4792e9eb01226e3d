package jobs

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// unreadable replaces what the kernel tells of processes, until the test ends. It is
// for tests that do not run beside others.
func unreadable(t *testing.T, names ...string) {
	t.Helper()
	dir, old := t.TempDir(), procDir
	for _, name := range names {
		// Reading a directory fails with something else than its being absent.
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	procDir = dir
	t.Cleanup(func() { procDir = old })
}

// TestCannotLook leaves a job alone whose process cannot be looked at.
func TestCannotLook(t *testing.T) {
	for what, c := range map[string]struct {
		names []string
		want  error
	}{
		"error":  {[]string{filepath.Join(strconv.Itoa(os.Getpid()), "stat")}, unix.EISDIR},
		"hidden": {nil, fs.ErrNotExist},
	} {
		t.Run(what, func(t *testing.T) {
			s := NewStore(t.TempDir())
			claim(t, s, "a")
			if err := os.MkdirAll(s.LogDir("a"), 0o700); err != nil {
				t.Fatal(err)
			}
			unreadable(t, c.names...)
			wantState(t, s, "a", Starting)
			var running *RunningError
			if err := s.Remove("a"); !errors.As(err, &running) || !errors.Is(err, c.want) {
				t.Errorf("removing it: %v", err)
			}
			if _, err := os.Stat(s.LogDir("a")); err != nil {
				t.Error(err)
			}
			if _, err := s.Claim(newJob(s, "a")); !errors.As(err, &running) || !errors.Is(err, c.want) {
				t.Errorf("claiming it: %v", err)
			}
		})
	}
}

// TestHiddenBoot takes the boot away, as systemd's ProcSubset=pid does.
func TestHiddenBoot(t *testing.T) {
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		t.Skip(err)
	}
	s := NewStore(t.TempDir())
	claim(t, s, "before")
	self := strconv.Itoa(os.Getpid())
	unreadable(t, self)
	if err := os.WriteFile(filepath.Join(procDir, self, "stat"), stat, 0o600); err != nil {
		t.Fatal(err)
	}
	claim(t, s, "since")
	for _, id := range []string{"before", "since"} {
		var running *RunningError
		if _, err := s.Claim(newJob(s, id)); !errors.As(err, &running) {
			t.Errorf("claiming the running job %s: %v", id, err)
		}
	}
}

// TestClaimWithoutIdentity: others could not tell whether the job still runs.
func TestClaimWithoutIdentity(t *testing.T) {
	unreadable(t, filepath.Join(strconv.Itoa(os.Getpid()), "stat"))
	s := NewStore(t.TempDir())
	if _, err := s.Claim(newJob(s, "a")); !errors.Is(err, unix.EISDIR) {
		t.Errorf("claiming: %v", err)
	}
	if ids, err := s.IDs(); err != nil || len(ids) > 0 {
		t.Errorf("ids %q, %v", ids, err)
	}
}

func TestZombie(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("cat")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Skip(err)
	}
	defer cmd.Wait()
	pid := cmd.Process.Pid
	start, err := identity(pid)
	if err != nil || start == "" {
		t.Fatalf("identity %q, %v", start, err)
	}
	if is, err := alive(pid, start); !is || err != nil {
		t.Errorf("a running process: %v, %v", is, err)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	if is, err := alive(pid, start); is || err != nil {
		t.Errorf("a dead process that nobody has waited for: %v, %v", is, err)
	}
}
