//go:build linux

package handover

import (
	"errors"
	"io"

	"golang.org/x/sys/unix"
)

// MaxFiles is the most files that come with a packet.
const MaxFiles = 3

var errPeer = errors.New("the process at the other end of the socket belongs to another user")

// Dial connects to a server that runs as this user or as root. The descriptor is
// closed on exec and blocks.
func Dial(path string) (fd int, err error) {
	fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	err = unix.Connect(fd, &unix.SockaddrUnix{Name: path})
	if err == nil {
		err = CheckPeer(fd)
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// CheckPeer refuses a peer that is neither this process's user nor root.
func CheckPeer(fd int) error {
	peer, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return err
	}
	if int(peer.Uid) != unix.Geteuid() && peer.Uid != 0 {
		return errPeer
	}
	return nil
}

// Send sends one packet with files.
func Send(fd int, packet []byte, files ...int) error {
	var oob []byte
	if len(files) > 0 {
		oob = unix.UnixRights(files...)
	}
	for {
		err := unix.Sendmsg(fd, packet, oob, nil, unix.MSG_NOSIGNAL)
		if err != unix.EINTR {
			return err
		}
	}
}

// Receive receives one packet into buf with the files that came with it, which are
// closed on exec. It returns io.EOF when the peer is gone.
func Receive(fd int, buf []byte) (packet []byte, files []int, err error) {
	oob := make([]byte, unix.CmsgSpace(4*MaxFiles))
	for {
		n, oobn, flags, _, err := unix.Recvmsg(fd, buf, oob, unix.MSG_CMSG_CLOEXEC)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.ECONNRESET:
			return nil, nil, io.EOF
		case err != nil:
			return nil, nil, err
		}
		files, err = Files(oob[:oobn])
		if err == nil && flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
			err = errMalformed
		}
		if err != nil {
			CloseAll(files)
			return nil, nil, err
		}
		if n == 0 {
			CloseAll(files)
			return nil, nil, io.EOF
		}
		return buf[:n], files, nil
	}
}

// Files returns the descriptors in the control data of a packet.
func Files(oob []byte) (files []int, err error) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			continue // no descriptors
		}
		files = append(files, fds...)
	}
	return files, nil
}

// CloseAll closes files.
func CloseAll(files []int) {
	for _, fd := range files {
		_ = unix.Close(fd)
	}
}
