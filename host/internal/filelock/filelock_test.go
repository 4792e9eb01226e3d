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
			time.Sleep(patience / 2)
			first.Close()
		}()
		if err := acquire(t, path).Close(); err != nil {
			t.Error(err)
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
