//go:build unix

package filelock

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// ErrHeld tells that another process has the lock.
var ErrHeld = errors.New("it is in use by another process")

// A process that was killed while it started children leaves its locks to them for the
// moment in which they have not begun their programs: its successor asks again.
const (
	patience = 5 * time.Second
	pause    = 5 * time.Millisecond
)

// Acquire opens the file at path, which it makes with mode 0600 if there is none, and
// locks it until it is closed or the process ends. It waits 5 s for another process to
// let go of it, and returns ErrHeld then. A file that is removed or replaced meanwhile
// keeps nobody out: the one that is at path then is locked.
func Acquire(path string) (*os.File, error) {
	deadline := time.Now().Add(patience)
	for {
		f, err := lock(path, deadline)
		if err != nil || isAt(path, f) {
			return f, err
		}
		if err := f.Close(); err != nil {
			return nil, err
		}
	}
}

func lock(path string, deadline time.Time) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = tryLock(f)
	for errors.Is(err, ErrHeld) && time.Now().Before(deadline) {
		time.Sleep(pause)
		err = tryLock(f)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// isAt tells whether f is the file at path.
func isAt(path string, f *os.File) bool {
	have, err := f.Stat()
	there, terr := os.Stat(path)
	return err == nil && terr == nil && os.SameFile(have, there)
}

func tryLock(f *os.File) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return ErrHeld
	}
	return os.NewSyscallError("flock", err)
}
