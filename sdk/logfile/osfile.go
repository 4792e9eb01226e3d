//go:build unix

package logfile

import (
	"os"

	"golang.org/x/sys/unix"
)

// writableFile is what a log needs of the file that it writes.
type writableFile interface {
	Write(b []byte) (int, error)
	ReadAt(b []byte, off int64) (int, error)
	Truncate(size int64) error
	Sync() error
	Close() error
	// status returns the size, and whether the file still has a name.
	status() (size int64, linked bool, err error)
}

type osFile struct{ *os.File }

// status is called before every write, and does not allocate as os.File.Stat does.
func (f osFile) status() (size int64, linked bool, err error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return 0, false, &os.PathError{Op: "stat", Path: f.Name(), Err: err}
	}
	return st.Size, st.Nlink > 0, nil
}

// openToRead is os.Open for regular files: it leaves out the five system calls with
// which os.Open finds out that a regular file cannot be polled. It does not wait for the
// other end of a pipe that somebody put in the place of a file.
func openToRead(name string) (*os.File, error) {
	for {
		fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
		switch err {
		case nil:
			_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETFL, 0) // else os.NewFile tries to poll it
			return os.NewFile(uintptr(fd), name), nil
		case unix.EINTR:
		default:
			return nil, &os.PathError{Op: "open", Path: name, Err: err}
		}
	}
}
