package wire

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Quick calls are system calls on sockets that do not block, with few bytes. Go's scheduler is not told of
// them: it would wake its monitor thread for each one in a process that was idle before. That takes as
// long as the call, and then the thread looks around for a millisecond, on a processor that the other side of
// the socket could use.

func readQuick(fd uintptr, b []byte) (int, error) {
	if len(b) > quickBytes {
		return unix.Read(int(fd), b)
	}
	return result(unix.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b))))
}

func writeQuick(fd uintptr, b []byte) (int, error) {
	if len(b) > quickBytes {
		return unix.Write(int(fd), b)
	}
	return result(unix.RawSyscall(unix.SYS_WRITE, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b))))
}

// peekQuick reads one byte that stays where it is.
func peekQuick(fd uintptr) (int, error) {
	var b byte
	return result(unix.RawSyscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&b)), 1, unix.MSG_PEEK, 0, 0))
}

func result(n, _ uintptr, errno unix.Errno) (int, error) {
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
