package remote

import (
	"errors"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// control runs f with the socket's descriptor.
func control(sock net.Conn, f func(fd int) error) error {
	sc, ok := sock.(syscall.Conn)
	if !ok {
		return errors.New("not a socket")
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = f(int(fd)) }); err != nil {
		return err
	}
	return inner
}

// Unsent returns the size of the socket's send queue: for TCP the bytes that
// the peer's system has not confirmed, tcp(7); for unix sockets 0 only if the peer
// has read everything.
func Unsent(sock net.Conn) (int, error) {
	n := 0
	err := control(sock, func(fd int) (err error) {
		n, err = unix.IoctlGetInt(fd, unix.TIOCOUTQ) // another name of SIOCOUTQ
		return err
	})
	return n, err
}

// hungUp returns an error if the peer has ended the connection of a stream socket.
func hungUp(sock net.Conn) error {
	return control(sock, func(fd int) error {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		if _, err := unix.Poll(fds, 0); err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		if fds[0].Revents&(unix.POLLRDHUP|unix.POLLHUP|unix.POLLERR) != 0 {
			return errClosedByPeer
		}
		return nil
	})
}

// pendingError returns, and clears, the error that the network reported of what
// was sent.
func pendingError(sock net.Conn) error {
	return control(sock, func(fd int) error {
		code, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
		if err == nil && code != 0 {
			err = syscall.Errno(code)
		}
		return err
	})
}

// maxUnanswered is how often TCP tries again before a peer is taken for lost. The
// intervals double from 0.2 s at least: about 25 s.
const maxUnanswered = 7

// unanswered tells that the peer's system has not answered TCP's retransmissions,
// or probes of its closed window, for too long.
func unanswered(sock net.Conn) bool {
	lost := false
	_ = control(sock, func(fd int) error {
		info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		lost = err == nil && max(info.Retransmits, info.Probes) >= maxUnanswered
		return nil // unix sockets have no such thing
	})
	return lost
}

// isBusy tells that a datagram found the receiver's queue full.
func isBusy(err error) bool {
	return errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.ENOBUFS)
}
