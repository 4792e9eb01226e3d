//go:build unix

package serve

import (
	"errors"
	"os"
	"syscall"
)

// checkSocket fails unless fd is a unix socket: what is between host and driver may have
// closed the one that was meant, and the number is that of something else then.
func checkSocket(fd int) error {
	name, err := syscall.Getsockname(fd)
	if err != nil {
		return os.NewSyscallError("getsockname", err)
	}
	if _, ok := name.(*syscall.SockaddrUnix); !ok {
		return errors.New("a socket of another kind")
	}
	return nil
}
