package docker

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

const (
	// punchBytes is how much is read before its room on the disk is given back.
	punchBytes = 1 << 20
	// truncateBytes is the size from which a journal that is read to its end is begun
	// anew.
	truncateBytes = 4 << 20
	// spliceBytes is the most that is moved at a time.
	spliceBytes = 1 << 20
)

// journal is a file that a FIFO's bytes are moved to, one goroutine filling and one
// reading it.
type journal struct {
	file  *os.File
	fd    int
	grown chan struct{} // there is more to read, capacity 1
	freed chan struct{} // some was read, capacity 1

	mu      sync.Mutex
	size    int64
	read    int64 // what is before it is not needed any more
	punched int64 // what is before it takes no room
	emptied int64 // how many bytes it has had before it was begun anew
}

// openJournal opens a journal whose size is what the last filler left.
func openJournal(path string) (*journal, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &journal{
		file: f, fd: int(f.Fd()), size: st.Size(),
		grown: make(chan struct{}, 1), freed: make(chan struct{}, 1),
	}, nil
}

func (j *journal) close() error { return j.file.Close() }

// take moves what is in the FIFO to the end of the journal, without waiting. n is 0 at
// the FIFO's end; unix.EAGAIN means that it is empty. Bytes that could not be stored stay
// in the FIFO.
func (j *journal) take(fifo int) (n int64, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for {
		off := j.size
		// The bytes and the file's size change in the kernel together: a signal
		// that ends the process is seen after both.
		moved, serr := unix.Splice(fifo, nil, j.fd, &off, spliceBytes, unix.SPLICE_F_NONBLOCK|unix.SPLICE_F_MOVE)
		if n, err = int64(moved), serr; err != unix.EINTR {
			break
		}
	}
	if err != nil {
		return 0, err
	}
	if n > 0 {
		j.size += n
		signal(j.grown)
	}
	return n, nil
}

// bytes returns the size, and how much of it is not read.
func (j *journal) bytes() (size, unread int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.size, j.size - j.read
}

// mark returns where the journal will end once it has what is in the FIFO too, and reached
// tells whether it is read up to a mark, however often it was begun anew.
func (j *journal) mark(pending func() int) int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.emptied + j.size + int64(pending())
}

func (j *journal) reached(mark int64) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.emptied+j.read >= mark
}

// begin sets where reading begins, and returns it. It is nearer than asked for if the
// journal was truncated and the position, which says so, not yet stored.
func (j *journal) begin(at int64) int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	if at > j.size {
		at = 0
	}
	j.read = at
	return at
}

// release says that what is before at is not needed any more. When the journal is
// read to its end and large it is begun anew, and restart called before anything is added; release
// returns true then.
func (j *journal) release(at int64, restart func()) (restarted bool, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.read = at
	signal(j.freed)
	if at == j.size && at >= truncateBytes {
		if err := j.file.Truncate(0); err != nil {
			return false, fmt.Errorf("empty the journal: %w", err)
		}
		j.emptied += at
		j.size, j.read, j.punched = 0, 0, 0
		restart()
		return true, nil
	}
	if n := at - j.punched; n >= punchBytes {
		// Where holes are not to be had, it is emptied when it is read to the end.
		_ = unix.Fallocate(j.fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, j.punched, n)
		j.punched = at
	}
	return false, nil
}

// readAt fills p with what there is from at on.
func (j *journal) readAt(p []byte, at int64) (n int, err error) {
	size, _ := j.bytes()
	if left := size - at; int64(len(p)) > left {
		p = p[:max(left, 0)]
	}
	if len(p) == 0 {
		return 0, nil
	}
	return j.file.ReadAt(p, at)
}

// signal makes sure that a receive from c succeeds.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
