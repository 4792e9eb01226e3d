package launch

import (
	"cmp"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/logplug/logplug/shared/wire"
)

// quietConn is a connected unix socket that wakes nobody when the other side receives. A
// socket of package net has Go's poller woken then, as there is room to send: for each message,
// on a processor that who receives it may need. Here, the poller gets epoll instances in place
// of the socket: one that is ready when there is something to receive, and one
// that is ready when there is room, but only while somebody waits for that.
type quietConn struct {
	socket  *os.File // unknown to the poller
	raw     syscall.RawConn
	in, out *readiness
}

// newQuietConn uses socket, which blocks still, and is not the caller's any more.
func newQuietConn(socket *os.File) (_ wire.SocketConn, err error) {
	c := &quietConn{socket: socket}
	defer func() {
		if err != nil {
			_ = c.Close()
		}
	}()
	if c.raw, err = socket.SyscallConn(); err != nil {
		return nil, err
	}
	if c.in, err = newReadiness(c.raw, unix.EPOLLIN|unix.EPOLLRDHUP, 0); err != nil {
		return nil, err
	}
	if c.out, err = newReadiness(c.raw, 0, unix.EPOLLOUT); err != nil {
		return nil, err
	}
	var failed error
	err = c.raw.Control(func(fd uintptr) { failed = unix.SetNonblock(int(fd), true) })
	return c, cmp.Or(err, failed)
}

// SyscallConn implements syscall.Conn.
func (c *quietConn) SyscallConn() (syscall.RawConn, error) { return quietRawConn{c}, nil }

// quietRawConn implements syscall.RawConn.
type quietRawConn struct{ conn *quietConn }

func (r quietRawConn) Control(f func(fd uintptr)) error           { return r.conn.raw.Control(f) }
func (r quietRawConn) Read(f func(fd uintptr) (done bool)) error  { return r.conn.in.until(f) }
func (r quietRawConn) Write(f func(fd uintptr) (done bool)) error { return r.conn.out.until(f) }

// Read implements net.Conn.
func (c *quietConn) Read(b []byte) (n int, err error) {
	if len(b) == 0 {
		return 0, nil
	}
	waited := c.in.until(func(fd uintptr) bool {
		n, err = unix.Read(int(fd), b)
		return !again(err)
	})
	switch n = max(n, 0); {
	case waited != nil:
		return 0, waited
	case err != nil:
		return 0, os.NewSyscallError("read", err)
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

// Write implements net.Conn.
func (c *quietConn) Write(b []byte) (int, error) {
	n, err := c.WriteBuffers(&net.Buffers{b})
	return int(n), err
}

// maxParts is how many buffers a system call gets, see writev(2).
const maxParts = 64

// WriteBuffers writes what b holds, and removes it.
func (c *quietConn) WriteBuffers(b *net.Buffers) (written int64, err error) {
	var failed error
	err = c.out.until(func(fd uintptr) bool {
		for len(*b) > 0 {
			n, err := unix.Writev(int(fd), (*b)[:min(len(*b), maxParts)])
			switch {
			case again(err):
				return false
			case err != nil:
				failed = os.NewSyscallError("writev", err)
				return true
			}
			written += int64(n)
			consume(b, n)
		}
		return true
	})
	return written, cmp.Or(err, failed)
}

// consume removes n bytes of b, and empty buffers after them.
func consume(b *net.Buffers, n int) {
	for len(*b) > 0 && n >= len((*b)[0]) {
		n -= len((*b)[0])
		(*b)[0] = nil
		*b = (*b)[1:]
	}
	if n > 0 {
		(*b)[0] = (*b)[0][n:]
	}
}

func again(err error) bool { return errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) }

// Close implements net.Conn. It ends what waits.
func (c *quietConn) Close() error {
	return errors.Join(c.in.close(), c.out.close(), c.socket.Close())
}

// LocalAddr implements net.Conn. The socket has no name.
func (c *quietConn) LocalAddr() net.Addr { return &net.UnixAddr{Net: "unix"} }

// RemoteAddr implements net.Conn.
func (c *quietConn) RemoteAddr() net.Addr { return c.LocalAddr() }

// SetDeadline implements net.Conn.
func (c *quietConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline implements net.Conn.
func (c *quietConn) SetReadDeadline(t time.Time) error { return c.in.epoll.SetReadDeadline(t) }

// SetWriteDeadline implements net.Conn.
func (c *quietConn) SetWriteDeadline(t time.Time) error { return c.out.epoll.SetReadDeadline(t) }
