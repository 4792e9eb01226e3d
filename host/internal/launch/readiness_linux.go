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
	wanted uint32          // events that are asked for only while somebody waits, 0 if that is always so
	closed atomic.Bool

	mu      sync.Mutex // held by whoever waits
	attempt func(fd uintptr) (done bool)
	done    bool // attempt has returned it
	asked   bool // for what is wanted
	err     error
	number  uintptr // of epoll, in a call of try
	try     func(epoll uintptr) (done bool)
	inner   func(fd uintptr)
}

// newReadiness waits for events; for those wanted only while somebody waits, if there are such.
func newReadiness(socket syscall.RawConn, always, wanted uint32) (*readiness, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	r := &readiness{socket: socket, wanted: wanted}
	r.try = func(epoll uintptr) bool {
		r.number = epoll
		if err := r.socket.Control(r.inner); err != nil {
			r.err = err
		}
		return r.done || r.err != nil
	}
	r.inner = func(fd uintptr) {
		if r.done = r.attempt(fd); !r.done && r.wanted != 0 && !r.asked {
			// What has come meanwhile is an event, too. It would not be one if the socket had been there
			// before, with an event that nobody took (as nobody asks this instance), and were only modified.
			r.err = watch(r.number, fd, r.wanted)
			r.asked = r.err == nil
		}
	}
	if err := r.begin(fd, always); err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

// begin hands the epoll instance to the poller, and the socket to the epoll instance.
func (r *readiness) begin(epoll int, events uint32) (err error) {
	nonblock := unix.SetNonblock(epoll, true) // else it would not be the poller's
	r.epoll = os.NewFile(uintptr(epoll), "epoll instance of a socket")
	if nonblock != nil {
		return os.NewSyscallError("fcntl", nonblock)
	}
	if err := r.epoll.SetReadDeadline(time.Time{}); err != nil {
		return err // it is not the poller's
	}
	if r.raw, err = r.epoll.SyscallConn(); err != nil || events == 0 {
		return err
	}
	var failed error
	err = r.socket.Control(func(fd uintptr) { failed = watch(uintptr(epoll), fd, events) })
	return cmp.Or(err, failed)
}

// watch adds a socket to an epoll instance.
func watch(epoll, fd uintptr, events uint32) error {
	event := unix.EpollEvent{Events: events, Fd: int32(fd)}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(int(epoll), unix.EPOLL_CTL_ADD, int(fd), &event))
}

// unwatch removes the socket from the epoll instance. Where one of them is closed, that has done it.
func (r *readiness) unwatch() {
	_ = r.raw.Control(func(epoll uintptr) {
		_ = r.socket.Control(func(fd uintptr) { _ = unix.EpollCtl(int(epoll), unix.EPOLL_CTL_DEL, int(fd), nil) })
	})
}

// until calls attempt with the socket's descriptor until it returns true, and waits in between. It
// ends with net.ErrClosed when it is closed, and with os.ErrDeadlineExceeded at the epoll
// instance's read deadline.
func (r *readiness) until(attempt func(fd uintptr) (done bool)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.attempt, r.done, r.err = attempt, false, nil
	err := r.raw.Read(r.try)
	r.attempt = nil
	if r.asked {
		r.asked = false
		r.unwatch()
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
