//go:build unix

package wire

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// writeNow writes as much of b as can be written without waiting.
func writeNow(fd uintptr, b []byte) (n int, err error) {
	for {
		switch n, err = writeQuick(fd, b); {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			return 0, nil
		default:
			return max(n, 0), err
		}
	}
}

// The sockets do not block.

// receiveNow receives what there is into b, which has room. done is false if that is nothing yet.
func receiveNow(fd uintptr, b []byte) (n int, done bool, err error) {
	for {
		switch n, err = readQuick(fd, b); {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			return 0, false, nil
		default:
			return max(n, 0), true, ended(n, os.NewSyscallError("read", err))
		}
	}
}

// ended makes the end of a stream an error.
func ended(n int, err error) error {
	if n <= 0 && err == nil {
		return io.EOF
	}
	return err
}

// readable tells whether there is something to receive, which may be the end.
func readable(fd uintptr) bool {
	for {
		switch _, err := peekQuick(fd); {
		case errors.Is(err, unix.EINTR):
		default:
			return !errors.Is(err, unix.EAGAIN)
		}
	}
}
