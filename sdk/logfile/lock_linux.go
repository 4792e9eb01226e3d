package logfile

import (
	"os"

	"golang.org/x/sys/unix"
)

// Locks are those of open file descriptions, fcntl(2): they also exclude
// other loggers of the same process, go away with the process, and can be asked
// about without being taken, so that a reader never gets in a writer's way.

func tryLock(f *os.File) (bool, error) {
	lk := unix.Flock_t{Type: unix.F_WRLCK}
	err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &lk)
	if err == unix.EAGAIN || err == unix.EACCES {
		return false, nil
	}
	return err == nil, err
}

func isLocked(f *os.File) (bool, error) {
	lk := unix.Flock_t{Type: unix.F_WRLCK}
	err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &lk)
	return lk.Type != unix.F_UNLCK, err
}
