//go:build unix && (!linux || 386 || s390x || race)

package wire

import "golang.org/x/sys/unix"

// Calls that the race detector sees, and that systems have under other numbers or none.

func readQuick(fd uintptr, b []byte) (int, error) { return unix.Read(int(fd), b) }

func writeQuick(fd uintptr, b []byte) (int, error) { return unix.Write(int(fd), b) }

// peekQuick reads one byte that stays where it is.
func peekQuick(fd uintptr) (int, error) {
	var b [1]byte
	n, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK)
	return n, err
}
