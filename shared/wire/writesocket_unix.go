//go:build unix

package wire

import (
	"errors"

	"golang.org/x/sys/unix"
)

// writeNow writes as much of b as can be written without waiting.
func writeNow(fd uintptr, b []byte) (n int, err error) {
	for {
		switch n, err = unix.Write(int(fd), b); {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			return 0, nil
		default:
			return max(n, 0), err
		}
	}
}
