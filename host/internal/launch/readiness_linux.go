package launch

import (
	"cmp"
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// readiness waits for events of a socket that Go's poller does not know. An epoll instance of
// its own has them, and the poller waits for that one to be readable, see epoll(7).
type readiness struct {
	socket syscall.RawConn
	epoll  *os.File
	raw    syscall.RawConn // of epoll
	fd     int             // of epoll, valid in calls that raw makes
	wanted uint32          // events that are asked for only while somebody waits
	closed atomic.Bool

	mu      sync.Mutex // held by whoever waits
	attempt func(fd uintptr) (done bool)
	done    bool // attempt has returned it
	asked   bool // for what is wanted
	err     error
	try     func(epoll uintptr) (done bool)
	inner   func(fd uintptr)
}

// newReadiness waits for the events always, and for those wanted.
func newReadiness(socket syscall.RawConn, always, wanted uint32) (*readiness, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	r := &readiness{socket: socket, fd: fd, wanted: wanted}
	r.try = func(uintptr) bool {
		if err := r.socket.Control(r.inner); err != nil {
			r.err = err
		}
		return r.done || r.err != nil
	}
	r.inner = func(fd uintptr) {
		if r.done = r.attempt(fd); !r.done && r.wanted != 0 && !r.asked {
			r.err = r.control(unix.EPOLL_CTL_MOD, fd, r.wanted) // what has come meanwhile is an event, too
			r.asked = r.err == nil
		}
	}
	if err := r.begin(always); err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

// begin hands the epoll instance to the poller, and the socket to the epoll instance.
func (r *readiness) begin(events uint32) (err error) {
	nonblock := unix.SetNonblock(r.fd, true) // else it would not be the poller's
	r.epoll = os.NewFile(uintptr(r.fd), "epoll instance of a socket")
	if nonblock != nil {
		return os.NewSyscallError("fcntl", nonblock)
	}
	if err := r.epoll.SetReadDeadline(time.Time{}); err != nil {
		return err // it is not the poller's
	}
	if r.raw, err = r.epoll.SyscallConn(); err != nil {
		return err
	}
	var failed error
	err = r.socket.Control(func(fd uintptr) { failed = r.control(unix.EPOLL_CTL_ADD, fd, events) })
	return cmp.Or(err, failed)
}

func (r *readiness) control(op int, fd uintptr, events uint32) error {
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(r.fd, op, int(fd), &unix.EpollEvent{Events: events, Fd: int32(fd)}))
}

// until calls attempt with the socket's descriptor until it returns true, and waits in between. It
// ends with net.ErrClosed when it is closed, and with os.ErrDeadlineExceeded at the epoll instance's read deadline.
func (r *readiness) until(attempt func(fd uintptr) (done bool)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.attempt, r.done, r.err = attempt, false, nil
	err := r.raw.Read(r.try)
	r.attempt = nil
	if r.asked {
		r.asked = false
		_ = r.socket.Control(func(fd uintptr) { _ = r.control(unix.EPOLL_CTL_MOD, fd, 0) }) // at worst it wakes somebody
	}
	if err = cmp.Or(err, r.err); err != nil && r.closed.Load() {
		return net.ErrClosed
	}
	return err
}

// close ends what waits.
func (r *readiness) close() error {
	if r == nil {
		return nil
	}
	r.closed.Store(true)
	return r.epoll.Close()
}
