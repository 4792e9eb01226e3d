//go:build !386 && !s390x && !race

package wire

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Quick calls are system calls that do not wait, with few bytes. Go's scheduler is not told of
// them: it would wake its monitor thread for each one in a process that was idle before. That takes as
// long as the call, and then the thread looks around for a millisecond, on a processor that the other side of
// the socket could use.

func readQuick(fd uintptr, b []byte) (int, error) {
	if len(b) > quickBytes {
		return unix.Read(int(fd), b)
	}
	return quickly(unix.SYS_RECVFROM, fd, unsafe.SliceData(b), len(b), unix.MSG_DONTWAIT)
}

func writeQuick(fd uintptr, b []byte) (int, error) {
	if len(b) > quickBytes {
		return unix.Write(int(fd), b)
	}
	return quickly(unix.SYS_SENDTO, fd, unsafe.SliceData(b), len(b), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
}

// peekQuick reads one byte that stays where it is.
func peekQuick(fd uintptr) (int, error) {
	var b byte
	return quickly(unix.SYS_RECVFROM, fd, &b, 1, unix.MSG_DONTWAIT|unix.MSG_PEEK)
}

func quickly(call, fd uintptr, b *byte, size int, flags uintptr) (int, error) {
	n, _, errno := unix.RawSyscall6(call, fd, uintptr(unsafe.Pointer(b)), uintptr(size), flags, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
