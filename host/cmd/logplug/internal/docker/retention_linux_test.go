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

// A log goes with its container, and with nothing else.
func TestRemoveLogs(t *testing.T) {
	t.Parallel()
	s, log, origin := retention(t)
	note := filepath.Join(filepath.Dir(log), originFile)
	for _, damaged := range []string{"", "c", origin + "\x00"} {
		if err := os.WriteFile(note, []byte(damaged), 0o600); err != nil {
			t.Fatal(err)
		}
		if s.removeLogs(); !exists(t, log) {
			t.Fatalf("the log is removed because its origin is %q", damaged)
		}
	}
	if err := s.remember("c"); err != nil {
		t.Fatal(err)
	}
	if s.removeLogs(); !exists(t, log) {
		t.Fatal("the log is removed before its container")
	}
	if err := os.Remove(origin); err != nil {
		t.Fatal(err)
	}
	if s.removeLogs(); exists(t, log) {
		t.Error("the log stays")
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
		if s.removeLogs(); !exists(t, log) {
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
