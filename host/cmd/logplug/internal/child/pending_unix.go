//go:build linux || darwin

package child

import (
	"os"

	"golang.org/x/sys/unix"
)

// Pending returns how many bytes wait in the pipe f, 0 if that cannot be told.
func Pending(f *os.File) (n int) {
	conn, err := f.SyscallConn()
	if err != nil {
		return 0
	}
	_ = conn.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), fionread) })
	if err != nil {
		return 0
	}
	return n
}
