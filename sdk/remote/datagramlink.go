package remote

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

// datagramLink is a socket that sends each frame as a datagram.
type datagramLink struct {
	addr Address
	sock net.Conn
	peer identity // of a unix socket's receiver
}

func newDatagramLink(a Address, sock net.Conn) (link, error) {
	l := &datagramLink{addr: a, sock: sock}
	if a.Path == "" {
		return l, nil
	}
	// If the receiver is another one by now, the first write tells.
	var err error
	if l.peer, err = identify(a.Path); err != nil {
		_ = sock.Close()
		return nil, fmt.Errorf("connect to %s: %w", a, err)
	}
	return l, nil
}

// identity tells a receiver from the one that has its address after it.
type identity struct {
	file  os.FileInfo // of a path
	inode string      // of the socket with an abstract name
}

func (i identity) equal(o identity) bool {
	if i.file == nil || o.file == nil {
		return i == o
	}
	// File systems give the inode of a removed file away again.
	return os.SameFile(i.file, o.file) && i.file.ModTime().Equal(o.file.ModTime())
}

// identify returns who receives at a path, or an abstract name, now.
func identify(path string) (identity, error) {
	if path[0] == '@' {
		inode, err := abstractInode(path)
		return identity{inode: inode}, err
	}
	file, err := os.Stat(path)
	return identity{file: file}, err
}

const (
	// socketTable lists the unix sockets of the network namespace, proc(5): seven
	// columns, of which the fifth is the type and the last the inode, and the name. Only
	// Linux has it, and abstract names.
	socketTable = "/proc/net/unix"
	// datagramType is SOCK_DGRAM there. Sockets of another type may have the same name.
	datagramType = "0002"
)

// abstractInode returns the inode of the socket that has an abstract name. Inodes of
// sockets are numbered one after the other.
func abstractInode(name string) (string, error) {
	table, err := os.ReadFile(socketTable)
	if err != nil {
		return "", fmt.Errorf("tell receivers with an abstract name apart (mount /proc, or use a path): %w", err)
	}
	for line := range strings.Lines(string(table)) {
		columns, ok := strings.CutSuffix(line, " "+name+"\n")
		if fields := strings.Fields(columns); ok && len(fields) == 7 && fields[4] == datagramType {
			return fields[6], nil
		}
	}
	return "", errors.New("nobody has the address any more")
}

func (l *datagramLink) write(b *outbox, deadline time.Time) error {
	if err := l.sock.SetWriteDeadline(deadline); err != nil {
		return err
	}
	for frame := b.nextFrame(); frame != nil; frame = b.nextFrame() {
		_, err := l.sock.Write(frame)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded), isBusy(err):
			return nil
		case err != nil:
			return shortened(err)
		}
		b.written += int64(len(frame))
	}
	return nil
}

// confirmed: datagrams that are not waiting any more were read by the peer, if it
// is on this machine, or have left this machine, if they are UDP.
func (l *datagramLink) confirmed(b *outbox) (int64, error) {
	waiting, err := Unsent(l.sock)
	if err == nil {
		err = l.alive()
	}
	if err != nil {
		return 0, err
	}
	if waiting > 0 {
		return b.base, nil
	}
	return b.written, nil
}

// alive returns why the peer is no more: datagrams that were waiting for a unix
// socket vanish with it.
func (l *datagramLink) alive() error {
	if l.addr.Path == "" {
		return pendingError(l.sock)
	}
	probe, err := net.Dial(l.addr.Network, l.addr.Path)
	if err != nil {
		return shortened(err)
	}
	_ = probe.Close()
	// Afterwards: one that has come before the probe shows, and while the one before was
	// there, nothing has vanished.
	now, err := identify(l.addr.Path)
	if err != nil {
		return err
	}
	if !l.peer.equal(now) {
		return errors.New("the receiver has been started again")
	}
	return nil
}

func (l *datagramLink) silent() bool { return false }

func (l *datagramLink) ended() <-chan struct{} { return nil }

func (l *datagramLink) cause() (time.Time, error) { return time.Time{}, nil }

func (l *datagramLink) finish(context.Context) error { return nil }

func (l *datagramLink) release() {}

func (l *datagramLink) close() { _ = l.sock.Close() }
