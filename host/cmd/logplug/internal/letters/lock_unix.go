//go:build unix

package letters

import (
	"errors"
	"os"

	"github.com/logplug/logplug/host/internal/filelock"
)

// acquire locks the file at path, which it makes, until that is closed.
func acquire(path string) (*os.File, error) {
	lock, err := filelock.Acquire(path)
	if errors.Is(err, filelock.ErrHeld) {
		return nil, ErrInUse
	}
	return lock, err
}
