package wire

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"google.golang.org/grpc/credentials"
)

// Peer is the process at the other end of a unix socket, as the kernel names it.
type Peer struct {
	// PID is the process that connected, or that began to listen; 0 if it is
	// not visible from here, as a process of another PID namespace.
	PID int
	// UID is its effective user when it did so.
	UID int
}

// PeerInfo is the credentials.AuthInfo of a connection made with PeerCredentials.
type PeerInfo struct {
	credentials.CommonAuthInfo
	Peer Peer
}

// AuthType returns "peercred".
func (PeerInfo) AuthType() string { return peercred }

const peercred = "peercred"

// ErrNotUnixSocket is what a handshake with PeerCredentials ends with on a
// connection that is not a unix socket.
var ErrNotUnixSocket = errors.New("not a unix socket, its peer is unknown")

// PeerCredentials returns transport credentials for unix sockets, for either
// side. They exchange no bytes: the kernel names the peer, and the connection is
// refused with check's error, if it returns one. check may be called from
// several goroutines.
//
// The security level is privacy and integrity, since nobody but the kernel
// handles the bytes.
func PeerCredentials(check func(Peer) error) credentials.TransportCredentials {
	return peerCredentials{check}
}

// PeerCredentialsSupported tells whether PeerCredentials works on this system.
func PeerCredentialsSupported() bool { return peerCredentialsSupported }

// CheckPID accepts the process pid and no other. It is for the host, which
// knows the driver that it started.
func CheckPID(pid int) func(Peer) error {
	return func(p Peer) error {
		if p.PID != pid {
			return fmt.Errorf("the socket belongs to process %d (user %d), not to the driver that was started, process %d", p.PID, p.UID, pid)
		}
		return nil
	}
}

// CheckHost accepts processes of this process's user, of root, and the process
// that started this one. It is for the driver.
func CheckHost() func(Peer) error {
	uid, parent := os.Geteuid(), os.Getppid()
	return func(p Peer) error {
		if p.UID == uid || p.UID == 0 || (p.PID == parent && parent > 1) {
			return nil
		}
		return fmt.Errorf("process %d of user %d may not use this driver, which belongs to user %d", p.PID, p.UID, uid)
	}
}

type peerCredentials struct{ check func(Peer) error }

func (c peerCredentials) ClientHandshake(_ context.Context, _ string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return c.handshake(conn)
}

func (c peerCredentials) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return c.handshake(conn)
}

func (c peerCredentials) handshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	p, err := peerOf(conn)
	if err == nil {
		err = c.check(p)
	}
	if err != nil {
		// gRPC closes the connection.
		return nil, nil, fmt.Errorf("check the peer of the socket: %w", err)
	}
	return conn, PeerInfo{
		CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity},
		Peer:           p,
	}, nil
}

func (peerCredentials) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: peercred}
}

func (c peerCredentials) Clone() credentials.TransportCredentials { return c }

// OverrideServerName has no effect: a unix socket's peer has no name.
func (peerCredentials) OverrideServerName(string) error { return nil }

// peerOf asks the kernel for the process at the other end of conn.
func peerOf(conn net.Conn) (Peer, error) {
	sc, ok := conn.(syscall.Conn)
	if !ok || conn.LocalAddr() == nil || conn.LocalAddr().Network() != "unix" {
		return Peer{}, ErrNotUnixSocket
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return Peer{}, err
	}
	var p Peer
	var perr error
	if err := raw.Control(func(fd uintptr) { p, perr = peerOfSocket(int(fd)) }); err != nil {
		return Peer{}, err
	}
	return p, perr
}
