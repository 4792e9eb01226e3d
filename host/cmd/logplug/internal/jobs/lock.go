package jobs

import (
	"fmt"
	"os"
	"path/filepath"
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
