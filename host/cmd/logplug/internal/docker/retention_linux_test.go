package docker

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/hashicorp/go-hclog"
)

// retention returns a service with the log of one container, which Docker has.
func retention(t *testing.T) (s *Service, log, origin string) {
	t.Helper()
	s = &Service{cfg: Config{StateDir: t.TempDir(), DockerRoot: t.TempDir()}, log: hclog.NewNullLogger()}
	origin = filepath.Join(s.cfg.DockerRoot, "containers", "c")
	if err := os.MkdirAll(origin, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := s.remember("c"); err != nil {
		t.Fatal(err)
	}
	log = filepath.Join(s.cfg.StateDir, logsDir, "c", "container.log")
	if err := os.WriteFile(log, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	return s, log, origin
}

// look is removeLogs twice, as it takes two looks.
func look(s *Service) {
	missing := make(map[string]bool)
	s.removeLogs(missing)
	s.removeLogs(missing)
}

// A log goes with its container, and with nothing else.
func TestRemoveLogs(t *testing.T) {
	t.Parallel()
	s, log, origin := retention(t)
	note := filepath.Join(filepath.Dir(log), originFile)
	for _, damaged := range []string{"", "c", " ", origin + "\x00", "1:2", "1:2 ", " " + origin, "1:2 c"} {
		if err := os.WriteFile(note, []byte(damaged), 0o600); err != nil {
			t.Fatal(err)
		}
		if look(s); !exists(t, log) {
			t.Fatalf("the log is removed because its origin is %q", damaged)
		}
	}
	if err := s.remember("c"); err != nil {
		t.Fatal(err)
	}
	if look(s); !exists(t, log) {
		t.Fatal("the log is removed before its container")
	}
	if err := os.Remove(origin); err != nil {
		t.Fatal(err)
	}
	if look(s); exists(t, log) {
		t.Error("the log stays")
	}
}

// A log whose origin an earlier version has noted goes with its container, too.
func TestRemoveLogsOfEarlierVersions(t *testing.T) {
	t.Parallel()
	s, log, origin := retention(t)
	note := filepath.Join(filepath.Dir(log), originFile)
	if err := os.WriteFile(note, []byte(origin), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(origin, origin+"-away"); err != nil {
		t.Fatal(err)
	}
	missing := make(map[string]bool)
	if more := s.removeLogs(missing); !more || !exists(t, log) {
		t.Fatal("the log is removed at the first look")
	}
	if err := os.Rename(origin+"-away", origin); err != nil {
		t.Fatal(err)
	}
	if more := s.removeLogs(missing); more || !exists(t, log) || missing["c"] {
		t.Fatal("the container is there again, and still missing")
	}
	if text, err := os.ReadFile(note); err != nil || string(text) == origin {
		t.Errorf("the origin stays %q: %v", text, err)
	}
	if err := errors.Join(os.WriteFile(note, []byte(origin), 0o600), os.Remove(origin)); err != nil {
		t.Fatal(err)
	}
	if look(s); exists(t, log) {
		t.Error("the log stays")
	}
}

// A log stays while another directory is where the daemon's was: the one below a mount point,
// say.
func TestLogsStayWithoutTheDataDirectory(t *testing.T) {
	t.Parallel()
	s, log, origin := retention(t)
	root := s.cfg.DockerRoot
	if err := os.Rename(root, root+"-away"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root + "-away") })
	if err := os.MkdirAll(filepath.Dir(origin), 0o700); err != nil {
		t.Fatal(err)
	}
	if look(s); !exists(t, log) {
		t.Fatal("the log is removed while another directory is there")
	}
	if err := errors.Join(os.RemoveAll(root), os.Rename(root+"-away", root), os.Remove(origin)); err != nil {
		t.Fatal(err)
	}
	if look(s); exists(t, log) {
		t.Error("the log stays when the directory is there again")
	}
}

// A log stays while readers that begin note where its container is.
func TestRemoveLogsWhileReadersBegin(t *testing.T) {
	t.Parallel()
	s, log, _ := retention(t)
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for range 500 {
				if err := s.remember("c"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	ended := make(chan struct{})
	go func() { defer close(ended); readers.Wait() }()
	for over := false; !over; {
		select {
		case <-ended:
			over = true
		default:
		}
		if look(s); !exists(t, log) {
			t.Fatal("the log is removed")
		}
	}
}

func exists(t *testing.T, path string) bool {
	t.Helper()
	_, err := os.Stat(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}
