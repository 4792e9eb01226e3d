package wire

import (
	"os"

	"golang.org/x/sys/unix"
)

const peerCredentialsSupported = true

// peerOfSocket uses LOCAL_PEERCRED and LOCAL_PEERPID, see unix(4).
func peerOfSocket(fd int) (Peer, error) {
	c, err := unix.GetsockoptXucred(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	if err != nil {
		return Peer{}, os.NewSyscallError("getsockopt LOCAL_PEERCRED", err)
	}
	pid, err := unix.GetsockoptInt(fd, unix.SOL_LOCAL, unix.LOCAL_PEERPID)
	if err != nil {
		return Peer{}, os.NewSyscallError("getsockopt LOCAL_PEERPID", err)
	}
	return Peer{PID: pid, UID: int(c.Uid)}, nil
}
