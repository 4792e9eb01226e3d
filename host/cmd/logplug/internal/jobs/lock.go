package jobs

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

const (
	// patience is far longer than anybody needs the lock, and pause the time after which
	// it is asked for again.
	patience = 30 * time.Second
	pause    = 5 * time.Millisecond
)

// lock makes the directories where they are missing and takes the lock of the
// store. It is held for the time of a few small writes.
func (s *Store) lock() (unlock func(), err error) {
	if err := os.MkdirAll(s.recordDir(), 0o700); err != nil {
		return nil, fmt.Errorf("create the state directory: %w; choose another with --state-dir", err)
	}
	f, err := os.OpenFile(filepath.Join(s.dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the state directory: %w; choose another with --state-dir", err)
	}
	if err := lockFile(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock the state directory %s: %w", s.dir, err)
	}
	return func() { f.Close() }, nil
}

// heldError tells that somebody who hangs or was stopped has the lock.
type heldError struct{ path string }

func (e *heldError) Error() string {
	return fmt.Sprintf("another process has had %s locked for %v; see whether a logplug hangs or is stopped", e.path, patience)
}

// lockFile waits for an exclusive lock that ends when f is closed.
func lockFile(f *os.File) error {
	for deadline := time.Now().Add(patience); ; time.Sleep(pause) {
		locked, err := tryLock(f)
		if locked || err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return &heldError{f.Name()}
		}
	}
}
