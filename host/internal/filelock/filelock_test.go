//go:build unix

package filelock

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

func TestAcquire(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "lock")
		first := acquire(t, path)
		if _, err := Acquire(path); !errors.Is(err, ErrHeld) {
			t.Errorf("a lock that is held: %v", err)
		}
		go func() {
			time.Sleep(patience / 2) // in the bubble, no time passes
			first.Close()
		}()
		if err := acquire(t, path).Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestAcquireRemoved: who waits for a file that is removed before it is let go of locks
// the one that is there then.
func TestAcquireRemoved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "lock")
		first := acquire(t, path)
		go func() {
			time.Sleep(patience / 2) // in the bubble, no time passes
			if err := os.Remove(path); err != nil {
				t.Error(err)
			}
			first.Close()
		}()
		second := acquire(t, path)
		defer second.Close()
		if _, err := Acquire(path); !errors.Is(err, ErrHeld) {
			t.Errorf("a lock that is held: %v", err)
		}
	})
}

func TestAcquireWithoutDirectory(t *testing.T) {
	t.Parallel()
	if _, err := Acquire(filepath.Join(t.TempDir(), "none", "lock")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
}

func acquire(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := Acquire(path)
	if err != nil {
		t.Fatal(err)
	}
	return f
}
