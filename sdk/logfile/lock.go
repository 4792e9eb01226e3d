package logfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/logplug/logplug/shared/logdriver"
)

const fileMode = 0o640

// A writer that is being killed holds its lock until the kernel is done with it:
// its successor asks again for lockWait.
const (
	lockWait  = 2 * time.Second
	lockPause = 5 * time.Millisecond
)

// acquire takes the lock of the log at path.
func acquire(path string) (*os.File, error) {
	f, err := os.OpenFile(lockName(path), os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return nil, fmt.Errorf("lock log: %w", err)
	}
	ok, err := tryLock(f)
	for deadline := time.Now().Add(lockWait); !ok && err == nil && time.Now().Before(deadline); {
		time.Sleep(lockPause)
		ok, err = tryLock(f)
	}
	if ok {
		return f, nil
	}
	f.Close()
	if err != nil {
		return nil, fmt.Errorf("lock log %s: %w", lockName(path), err)
	}
	return nil, fmt.Errorf("%w: %s is being written; close the logger that writes it, or choose another path",
		logdriver.ErrLogBusy, path)
}

// release lets go of the lock, then touches it: readers of other
// processes watch it to learn that the writer is gone.
func release(path string, f *os.File) {
	f.Close()
	now := time.Now()
	_ = os.Chtimes(lockName(path), now, now) // without it they learn by polling
}

// beingWritten tells whether a process writes the log at path.
func beingWritten(path string) (bool, error) {
	f, err := openToRead(lockName(path))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("find out whether a log is being written: %w", err)
	}
	defer f.Close()
	return isLocked(f)
}
