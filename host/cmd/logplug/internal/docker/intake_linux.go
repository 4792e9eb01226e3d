package docker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"
)

const (
	// journalBytes is how much of a journal may be unread before its FIFO is left to
	// fill up, which makes the container wait.
	journalBytes = 4 << 20
	// hastyBytes is that bound for a container that must not be made to wait: what is
	// dropped, the host drops.
	hastyBytes = 64 << 20
	// residueBytes bounds what is taken for a container of which it is not known
	// whether it runs.
	residueBytes = 256 << 20
	// pipeBytes is the size that FIFOs get, where the system permits that.
	pipeBytes = 256 << 10
	// stallTick is how often is looked whether a container that waits still runs.
	stallTick = 250 * time.Millisecond
	// wastePatience is for how long output that cannot be stored is kept in a FIFO whose
	// container has ended: the daemon cannot go on before.
	wastePatience = 3 * time.Second
	// faultPause is how long to wait before trying again what failed.
	faultPause = time.Second
)

// intake moves a FIFO's bytes into a journal.
type intake struct {
	journal   *journal
	container string
	processes *processes
	hasty     bool // the container must not wait
	log       hclog.Logger

	fifo *os.File // nil if it is gone
	done chan struct{}
	// begun is called once, when the first bytes are in the journal.
	begun func()
	// wasted is called with the number of bytes that were given up.
	wasted func(n int64)

	mu       sync.Mutex
	stopping chan struct{} // closed when the daemon has written the last
}

// openFIFO opens a FIFO for reading; nil if there is none any more.
func openFIFO(path string) (*os.File, error) {
	if !filepath.IsAbs(path) {
		return nil, fmt.Errorf("%q is not an absolute path of a FIFO", path)
	}
	// Opened for reading alone, its end is seen when the daemon is gone.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err == nil && st.Mode()&os.ModeNamedPipe == 0 {
		err = fmt.Errorf("%s is not a FIFO", path)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// stop says that the daemon writes no more: the intake ends once the FIFO is empty.
func (i *intake) stop() {
	i.mu.Lock()
	defer i.mu.Unlock()
	select {
	case <-i.stopping:
		return
	default:
	}
	close(i.stopping)
	i.wake()
}

// wake interrupts waiting for bytes.
func (i *intake) wake() {
	if i.fifo != nil {
		_ = i.fifo.SetReadDeadline(time.Unix(1, 0))
	}
}

func (i *intake) stopped() bool {
	select {
	case <-i.stopping:
		return true
	default:
		return false
	}
}

// run moves bytes until the FIFO ends, or is empty after stop, or ctx ends. It
// returns whether nothing more will come.
func (i *intake) run(ctx context.Context) (complete bool) {
	if size, _ := i.journal.bytes(); size > 0 { // an earlier service took them
		i.begin()
	}
	if i.fifo == nil {
		return true
	}
	defer i.fifo.Close()
	raw, err := i.fifo.SyscallConn()
	if err != nil {
		i.log.Error("the container's output cannot be read", "error", err)
		return true
	}
	_ = raw.Control(func(fd uintptr) { _, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, pipeBytes) })
	defer context.AfterFunc(ctx, i.wake)()
	var failing time.Time // since when; zero: it does not
	for i.admit(ctx) {
		n, err := i.take(raw)
		switch {
		case err == nil && n > 0:
			i.begin()
			failing = time.Time{}
		case err == nil, errors.Is(err, unix.EAGAIN) && i.stopped():
			return true
		case errors.Is(err, unix.EAGAIN), errors.Is(err, os.ErrDeadlineExceeded):
		default:
			if failing.IsZero() {
				failing = time.Now()
				i.log.Error("the container's output cannot be stored; it waits", "container", i.container, "error", err)
			}
			// Looked at each time: only of processes that were seen it is known when they end.
			if i.over() && time.Since(failing) >= wastePatience {
				return i.waste(ctx, raw)
			}
			i.pause(ctx, faultPause)
		}
	}
	return i.stopped() && i.drain(raw)
}

// over tells whether the container, of which there is output, has ended.
func (i *intake) over() bool {
	if i.stopped() {
		return true
	}
	i.processes.doubt(i.container)
	forgot := i.processes.forgotten()
	if i.processes.state(i.container) == unknown { // it had a process, which nobody has seen
		i.processes.census(map[string]string{i.container: filepath.Base(i.fifo.Name())}, forgot)
	}
	return i.processes.state(i.container) == dead
}

// waste reads away what cannot be stored, until the FIFO ends, or is empty after stop, or
// ctx ends.
func (i *intake) waste(ctx context.Context, raw syscall.RawConn) (complete bool) {
	i.log.Error("the container has ended, and the rest of its output cannot be stored; it is lost", "container", i.container)
	buf, total := make([]byte, pipeBytes), int64(0)
	for ctx.Err() == nil {
		n, err := i.read(raw, buf)
		total += int64(max(n, 0))
		switch {
		case n > 0:
			i.wasted(int64(n))
		case err == nil, errors.Is(err, unix.EAGAIN) && i.stopped():
			i.log.Error("output of a container was lost", "container", i.container, "bytes", total)
			return true
		case errors.Is(err, unix.EAGAIN), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, unix.EINTR):
		default:
			i.log.Error("the container's output cannot be read", "container", i.container, "error", err)
			return true
		}
	}
	return false
}

// read reads, waiting as take does.
func (i *intake) read(raw syscall.RawConn, buf []byte) (n int, err error) {
	return transfer(i, raw, func(fd int) (int, error) { return unix.Read(fd, buf) })
}

// begin calls begun, the first time.
func (i *intake) begin() {
	if i.begun != nil {
		i.begun()
		i.begun = nil
	}
}

// drain moves what is left in a FIFO that the daemon is about to remove.
func (i *intake) drain(raw syscall.RawConn) (complete bool) {
	for {
		n, err := i.take(raw)
		switch {
		case err == nil && n == 0, errors.Is(err, unix.EAGAIN):
			return true
		case err != nil:
			i.log.Error("the container's output cannot be stored", "error", err)
			return false
		}
	}
}

// take moves what is there, waiting for something unless the daemon writes no more.
func (i *intake) take(raw syscall.RawConn) (int64, error) {
	return transfer(i, raw, i.journal.take)
}

// transfer calls move with the FIFO, again when there is something as long as it answers
// unix.EAGAIN and the daemon may write more.
func transfer[N int | int64](i *intake, raw syscall.RawConn, move func(fd int) (N, error)) (n N, err error) {
	if i.stopped() {
		cerr := raw.Control(func(fd uintptr) { n, err = move(int(fd)) })
		return n, errors.Join(err, cerr)
	}
	rerr := raw.Read(func(fd uintptr) bool {
		n, err = move(int(fd))
		return err != unix.EAGAIN
	})
	if rerr != nil {
		return 0, rerr
	}
	return n, err
}

// pending returns how many bytes are in the FIFO.
func (i *intake) pending() (n int) {
	if i.fifo == nil {
		return 0
	}
	raw, err := i.fifo.SyscallConn()
	if err == nil {
		_ = raw.Control(func(fd uintptr) { n, _ = unix.IoctlGetInt(int(fd), unix.TIOCINQ) })
	}
	return n
}

// admit waits until the journal may grow. It returns false when ctx has ended.
func (i *intake) admit(ctx context.Context) bool {
	for ctx.Err() == nil {
		if _, unread := i.journal.bytes(); unread < i.bound() {
			return true
		}
		if !i.pause(ctx, stallTick) {
			return false
		}
	}
	return false
}

// bound is how much of the journal may be unread. A container that has ended has a last
// bit of output in pipes, which the daemon must get rid of before it can do anything
// else with the container.
func (i *intake) bound() int64 {
	if i.stopped() {
		return 1 << 62
	}
	bound := int64(journalBytes)
	if i.hasty {
		bound = hastyBytes
	}
	if _, unread := i.journal.bytes(); unread < bound {
		return bound
	}
	switch i.processes.state(i.container) {
	case alive:
		return bound
	case dead:
		return 1 << 62
	default:
		return residueBytes
	}
}

// pause waits for d, room in the journal, or the daemon's last word. It returns false when
// ctx has ended.
func (i *intake) pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	stopping := i.stopping
	if i.stopped() {
		stopping = nil
	}
	select {
	case <-i.journal.freed:
	case <-timer.C:
	case <-stopping:
	case <-ctx.Done():
		return false
	}
	return true
}
