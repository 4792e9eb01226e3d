package jobs

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/logplug/logplug/shared/logdriver"
)

func newJob(s *Store, id string) Job {
	return Job{
		ID: id, Driver: "box", Command: []string{"true"},
		Info: logdriver.Info{ContainerID: id, LogPath: s.LogPath(id), Config: map[string]string{"token": "x"}},
	}
}

func claim(t *testing.T, s *Store, id string) *Claim {
	t.Helper()
	c, err := s.Claim(newJob(s, id))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func wantState(t *testing.T, s *Store, id string, want State) *Job {
	t.Helper()
	j, err := s.Get(id)
	if err != nil {
		t.Fatal(err)
	}
	if got := j.State(); got != want {
		t.Errorf("job %s is %s, want %s", id, got, want)
	}
	return j
}

func TestLife(t *testing.T) {
	t.Parallel()
	s := NewStore(filepath.Join(t.TempDir(), "state"))
	c := claim(t, s, "a")
	wantState(t, s, "a", Starting)
	if err := c.Started(42, "local"); err != nil {
		t.Fatal(err)
	}
	wantState(t, s, "a", Running)
	var running *RunningError
	if _, err := s.Claim(newJob(s, "a")); !errors.As(err, &running) || running.PID != os.Getpid() {
		t.Errorf("claiming a running job: %v", err)
	}
	if err := s.Remove("a"); !errors.As(err, &running) {
		t.Errorf("removing a running job: %v", err)
	}
	if err := c.Finish(3, "trouble", ""); err != nil {
		t.Fatal(err)
	}
	j := wantState(t, s, "a", Exited)
	if j.ExitCode != 3 || j.Trouble != "trouble" || j.Info.Config["token"] != "x" || j.Duration(j.Ended) <= 0 {
		t.Errorf("got %+v", j)
	}
	if err := os.MkdirAll(s.LogDir("a"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove("a"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(s.LogDir("a")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the log is still there: %v", err)
	}
	if _, err := s.Get("a"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the record is still there: %v", err)
	}
}

func TestAbandon(t *testing.T) {
	t.Parallel()
	s := NewStore(t.TempDir())
	if err := claim(t, s, "new").Abandon(); err != nil {
		t.Fatal(err)
	}
	if ids, err := s.IDs(); err != nil || len(ids) > 0 {
		t.Errorf("ids %q, %v", ids, err)
	}
	if err := claim(t, s, "old").Finish(5, "", ""); err != nil {
		t.Fatal(err)
	}
	if err := claim(t, s, "old").Abandon(); err != nil {
		t.Fatal(err)
	}
	if j := wantState(t, s, "old", Exited); j.ExitCode != 5 {
		t.Errorf("exit code %d, want that of the earlier job", j.ExitCode)
	}
	other := newJob(s, "old")
	other.Driver = "crate"
	var changed *DriverChangedError
	if _, err := s.Claim(other); !errors.As(err, &changed) {
		t.Errorf("claim with another driver: %v", err)
	}
}

// TestAbandonedLog: of what is in the log directory only what came with the claim goes.
func TestAbandonedLog(t *testing.T) {
	t.Parallel()
	for _, had := range []bool{false, true} {
		s := NewStore(t.TempDir())
		if had {
			writeLog(t, s, "a")
		}
		c := claim(t, s, "a")
		writeLog(t, s, "a")
		if err := c.Abandon(); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Get("a"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the record is still there: %v", err)
		}
		if _, err := os.Stat(s.LogPath("a")); (err == nil) != had {
			t.Errorf("with a log before %v: %v", had, err)
		}
	}
}

func writeLog(t *testing.T, s *Store, id string) {
	t.Helper()
	if err := os.MkdirAll(s.LogDir(id), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.LogPath(id), []byte("line\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestLost takes the record of a process that has ended, and of one whose number
// another process has now.
func TestLost(t *testing.T) {
	t.Parallel()
	s := NewStore(t.TempDir())
	c := claim(t, s, "a")
	gone := exec.Command("true")
	if err := gone.Run(); err != nil {
		t.Skip(err)
	}
	c.job.CommandPID, c.job.HostPID = 1, gone.Process.Pid
	if err := c.write(); err != nil {
		t.Fatal(err)
	}
	wantState(t, s, "a", Lost)
	c.job.HostPID, c.job.HostStart = os.Getpid(), "another boot/1"
	if err := c.write(); err != nil {
		t.Fatal(err)
	}
	wantState(t, s, "a", Lost)
	if _, err := s.Claim(newJob(s, "a")); err != nil {
		t.Errorf("claiming the id of a lost job: %v", err)
	}
}

func TestOneClaimWins(t *testing.T) {
	t.Parallel()
	s := NewStore(t.TempDir())
	var (
		wg  sync.WaitGroup
		won atomic.Int32
	)
	for range 16 {
		wg.Go(func() {
			if _, err := s.Claim(newJob(s, "a")); err == nil {
				won.Add(1)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d claims succeeded, want 1", won.Load())
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	s := NewStore(t.TempDir())
	for _, id := range []string{"web", "web-2", "worker"} {
		j := newJob(s, id)
		j.Info.ContainerName = "/name-of-" + id
		if _, err := s.Claim(j); err != nil {
			t.Fatal(err)
		}
	}
	for ref, want := range map[string]string{"web": "web", "web-": "web-2", "wo": "worker", "name-of-web": "web"} {
		if j, err := s.Find(ref); err != nil || j.ID != want {
			t.Errorf("Find(%q) = %v, %v; want %s", ref, j, err, want)
		}
	}
	for ref, want := range map[string]UnknownError{
		"w":      {Matches: []string{"web", "web-2", "worker"}},
		"wroker": {Nearest: "worker"},
		"../x":   {}, "": {}, "\x1b": {},
	} {
		_, err := s.Find(ref)
		var unknown *UnknownError
		if !errors.As(err, &unknown) || !slices.Equal(unknown.Matches, want.Matches) || unknown.Ref != ref ||
			(want.Nearest != "" && unknown.Nearest != want.Nearest) {
			t.Errorf("Find(%q): %v", ref, err)
		}
	}
}

func TestDamagedRecords(t *testing.T) {
	t.Parallel()
	s := NewStore(t.TempDir())
	claim(t, s, "good")
	for id, text := range map[string]string{
		"empty": "", "torn": `{"format":1,"id":"to`, "moved": `{"format":1,"id":"other"}`, "newer": `{"format":2,"id":"newer"}`,
	} {
		if err := os.WriteFile(s.recordPath(id), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	list, bad := s.List()
	if len(list) != 1 || list[0].ID != "good" || len(bad) != 4 {
		t.Errorf("got %d jobs, and errors %v", len(list), bad)
	}
	if _, err := s.Claim(newJob(s, "torn")); err == nil {
		t.Error("a record that cannot be read is replaced")
	}
}

func TestClaimSweeps(t *testing.T) {
	t.Parallel()
	s := NewStore(t.TempDir())
	claim(t, s, "a")
	rest := filepath.Join(s.recordDir(), tempPrefix+"123")
	if err := os.WriteFile(rest, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	claim(t, s, "b")
	if _, err := os.Stat(rest); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is still there", rest)
	}
}

func TestCheckID(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"a", "0", "a.b_c-d", strings.Repeat("x", maxIDBytes), NewID()} {
		if err := CheckID(id); err != nil {
			t.Error(err)
		}
	}
	for _, id := range []string{"", ".", "..", "-a", "a/b", "a b", "é", "a\n", strings.Repeat("x", maxIDBytes+1)} {
		if CheckID(id) == nil {
			t.Errorf("%q is accepted", id)
		}
	}
}
