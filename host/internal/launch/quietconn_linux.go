package launch

import (
	"cmp"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/logplug/logplug/shared/wire"
)

// quietConn is a connected unix socket that wakes nobody when the other side receives. With a
// socket of package net, Go's poller is woken then, since there is room to send: once for each message, and on a
// processor on which the receiver could run. Here, the poller has epoll instances in place
// of the socket: one that is ready when there is something to receive, and one
// that is ready when there is room, but only while somebody waits for that.
type quietConn struct {
	socket  *os.File // unknown to the poller
	raw     syscall.RawConn
	in, out *readiness

	mu      sync.Mutex // held by whoever writes
	left    *net.Buffers
	written int64
	failed  error
	write   func(fd uintptr) (done bool)
}

// newQuietConn uses socket, which is not the caller's any more. Its descriptor blocks still: otherwise
// os.NewFile would have told the poller of it.
func newQuietConn(socket *os.File) (_ wire.SocketConn, err error) {
	c := &quietConn{socket: socket}
	c.write = c.writeLeft
	defer func() {
		if err != nil {
			_ = c.Close()
		}
	}()
	if c.raw, err = socket.SyscallConn(); err != nil {
		return nil, err
	}
	if c.in, err = newReadiness(c.raw, unix.EPOLLIN, 0); err != nil {
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

func (r quietRawConn) Read(f func(fd uintptr) (done bool)) error  { return r.conn.in.until(f) }
func (r quietRawConn) Write(f func(fd uintptr) (done bool)) error { return r.conn.out.until(f) }

func (r quietRawConn) Control(f func(fd uintptr)) error {
	err := r.conn.raw.Control(f)
	if err != nil && r.conn.in.closed.Load() {
		return net.ErrClosed
	}
	return err
}

// Read implements io.Reader.
func (c *quietConn) Read(b []byte) (n int, err error) {
	if len(b) == 0 {
		return 0, nil
	}
	waited := c.in.until(func(fd uintptr) bool {
		n, err = uninterrupted(func() (int, error) { return unix.Read(int(fd), b) })
		return !errors.Is(err, unix.EAGAIN)
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

// Write implements io.Writer.
func (c *quietConn) Write(b []byte) (int, error) {
	n, err := c.WriteBuffers(&net.Buffers{b})
	return int(n), err
}

// maxParts is how many buffers a system call gets. writev(2) takes 1,024, for which more memory would be
// allocated each time than few calls need.
const maxParts = 64

// WriteBuffers writes what b holds, and removes it.
func (c *quietConn) WriteBuffers(b *net.Buffers) (written int64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left, c.written, c.failed = b, 0, nil
	err = c.out.until(c.write)
	c.left = nil
	return c.written, cmp.Or(err, c.failed)
}

// writeLeft writes what is left. It returns false if there is no room for some of it.
func (c *quietConn) writeLeft(fd uintptr) (done bool) {
	for b := c.left; len(*b) > 0; {
		n, err := uninterrupted(func() (int, error) { return unix.Writev(int(fd), (*b)[:min(len(*b), maxParts)]) })
		switch {
		case errors.Is(err, unix.EAGAIN):
			return false
		case err != nil:
			c.failed = os.NewSyscallError("writev", err)
			return true
		}
		c.written += int64(n)
		consume(b, n)
	}
	return true
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

// uninterrupted makes a system call again that a signal has interrupted.
func uninterrupted(call func() (int, error)) (n int, err error) {
	for {
		if n, err = call(); !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

// Close implements io.Closer. It ends what waits.
func (c *quietConn) Close() error {
	return errors.Join(c.in.close(), c.out.close(), c.socket.Close())
}

// SetReadDeadline implements wire.SocketConn.
func (c *quietConn) SetReadDeadline(t time.Time) error { return c.in.epoll.SetReadDeadline(t) }

// SetWriteDeadline implements wire.SocketConn.
func (c *quietConn) SetWriteDeadline(t time.Time) error { return c.out.epoll.SetReadDeadline(t) }
