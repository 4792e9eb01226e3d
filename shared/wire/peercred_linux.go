package wire

import (
	"os"

	"golang.org/x/sys/unix"
)

const peerCredentialsSupported = true

// peerOfSocket uses SO_PEERCRED, see unix(7).
func peerOfSocket(fd int) (Peer, error) {
	c, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return Peer{}, os.NewSyscallError("getsockopt SO_PEERCRED", err)
	}
	return Peer{PID: int(c.Pid), UID: int(c.Uid)}, nil
}
