//go:build unix

package launch

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/logplug/logplug/shared/wire"
)

// newWriteSocket returns the host's end, and what the process is to inherit.
func newWriteSocket() (*writeSocket, *os.File, error) {
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, nil, err
	}
	_ = unix.SetsockoptInt(int(ours.Fd()), unix.SOL_SOCKET, unix.SO_SNDBUF, writeBufferBytes) // the system may allow less
	conn, err := newQuietConn(ours)
	if err != nil {
		return nil, nil, errors.Join(err, theirs.Close())
	}
	return &writeSocket{conn: conn}, theirs, nil
}

// socketPair returns two ends that no process inherits by accident.
func socketPair() (a, b *os.File, err error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	for _, fd := range fds {
		unix.CloseOnExec(fd)
	}
	return os.NewFile(uintptr(fds[0]), "write socket"), os.NewFile(uintptr(fds[1]), "write socket of the driver"), nil
}

// greeting returns what the process has written so far, as far as a greeting goes.
func (s *writeSocket) greeting() string {
	raw, err := s.conn.SyscallConn()
	if err != nil {
		return ""
	}
	var (
		buf [len(wire.WriteSocketGreeting)]byte
		n   int
	)
	err = raw.Read(func(fd uintptr) bool {
		n, _ = unix.Read(int(fd), buf[:])
		return true // without waiting
	})
	if err != nil || n < 0 {
		return ""
	}
	return string(buf[:n])
}
