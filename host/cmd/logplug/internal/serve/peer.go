//go:build linux

package serve

import (
	"errors"
	"net"
	"time"

	"github.com/logplug/logplug/host/cmd/logplug/internal/handover"
	"golang.org/x/sys/unix"
)

// peerGrace is for how long is waited for the end of a process that has closed its
// connection: the kernel does that first.
const peerGrace = time.Second

// peer is the process at the other end of a connection.
type peer struct {
	pid int
	fd  int // a pidfd; -1 where there is none
	err error
}

// openPeer refuses clients of other users.
func openPeer(conn *net.UnixConn) (p peer, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return p, err
	}
	cerr := raw.Control(func(fd uintptr) {
		if err = handover.CheckPeer(int(fd)); err != nil {
			return
		}
		var cred *unix.Ucred
		if cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			p.pid = int(cred.Pid)
		}
	})
	if err := errors.Join(cerr, err); err != nil {
		return p, err
	}
	p.fd, p.err = unix.PidfdOpen(p.pid, 0)
	return p, nil
}

// dead tells whether the process has ended. It says no where that is not known.
func (p *peer) dead() bool {
	if p.err != nil {
		return errors.Is(p.err, unix.ESRCH)
	}
	fds := []unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}
	for deadline := time.Now().Add(peerGrace); ; {
		n, err := unix.Poll(fds, int(max(time.Until(deadline).Milliseconds(), 0)))
		if !errors.Is(err, unix.EINTR) {
			return err == nil && n > 0
		}
	}
}

func (p *peer) close() {
	if p.err == nil {
		_ = unix.Close(p.fd)
	}
}
