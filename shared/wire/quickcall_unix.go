//go:build unix && (!linux || 386 || s390x || race)

package wire

import "golang.org/x/sys/unix"

// Here, quick calls are ordinary ones: the race detector has to see them, other systems have none, and old
// kernels of 386 and s390x have no recvfrom by itself.

func readQuick(fd uintptr, b []byte) (int, error) { return unix.Read(int(fd), b) }

func writeQuick(fd uintptr, b []byte) (int, error) { return unix.Write(int(fd), b) }

// peekQuick reads one byte that stays where it is.
func peekQuick(fd uintptr) (int, error) {
	var b [1]byte
	n, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK)
	return n, err
}
