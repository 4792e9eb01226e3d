package direct

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"github.com/logplug/logplug/shared/logdriver"
	"github.com/logplug/logplug/shared/wire"
	"golang.org/x/sys/unix"
)

const (
	tailHeader   = 16       // a version, which is odd during a change, and how many bytes were ever written
	tailRing     = 64 << 10 // bytes behind the header
	tailTries    = 100
	tailOverhead = 8 // a length on each side of an entry
)

var (
	errTail      = errors.New("the shared end of the log is damaged")
	errTailShort = errors.New("the shared end of the log does not have so many messages")
	errTailBusy  = errors.New("the shared end of the log does not hold still")
)

// Tail is the end of a log in memory that the driver writes and the host reads, in
// the encoding of package wire: the last messages are read without the driver.
type Tail struct {
	mem  []byte
	copy []byte
	dec  wire.Decoder
}

// openTail maps the file, which the driver makes.
func openTail(path string, make bool) (*Tail, error) {
	flags, prot := os.O_RDONLY, unix.PROT_READ
	if make {
		flags, prot = os.O_RDWR|os.O_CREATE|os.O_EXCL, unix.PROT_READ|unix.PROT_WRITE
	}
	f, err := os.OpenFile(path, flags, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if make {
		if err := f.Truncate(tailHeader + tailRing); err != nil {
			return nil, err
		}
	}
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if fi.Size() != tailHeader+tailRing {
		return nil, fmt.Errorf("%w: %d bytes", errTail, fi.Size())
	}
	mem, err := unix.Mmap(int(f.Fd()), 0, tailHeader+tailRing, prot, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("mapping %s: %w", path, err)
	}
	return &Tail{mem: mem}, nil
}

func (t *Tail) close() error { return unix.Munmap(t.mem) }

func (t *Tail) version() *atomic.Uint64 { return (*atomic.Uint64)(unsafe.Pointer(&t.mem[0])) }
func (t *Tail) written() *atomic.Uint64 { return (*atomic.Uint64)(unsafe.Pointer(&t.mem[8])) }

// put adds a message. Only one goroutine may.
func (t *Tail) put(m *logdriver.Message) {
	b := binary.LittleEndian.AppendUint32(t.copy[:0], 0)
	b = wire.AppendEntry(b, m)
	n := uint32(len(b) - 4)
	binary.LittleEndian.PutUint32(b, n)
	b = binary.LittleEndian.AppendUint32(b, n)
	if t.copy = b; len(b) > tailRing {
		return // a prototype: a real one would mark that it has a gap
	}
	end := t.written().Load()
	t.version().Add(1)
	at := end % tailRing
	k := copy(t.mem[tailHeader+at:], b)
	copy(t.mem[tailHeader:], b[k:])
	t.written().Store(end + uint64(len(b)))
	t.version().Add(1)
}

// Read calls visit with the last n messages, the oldest first. A message is valid
// until it returns.
func (t *Tail) Read(n int, visit func(*logdriver.Message)) error {
	for range tailTries {
		before := t.version().Load()
		end := t.written().Load()
		held := int(min(end, tailRing))
		// The last bytes come last.
		at := int(end % tailRing)
		ring := t.mem[tailHeader:]
		t.copy = t.copy[:0]
		if end >= tailRing {
			t.copy = append(t.copy, ring[at:]...)
		}
		t.copy = append(t.copy, ring[:at]...)
		if before%2 == 0 && t.version().Load() == before {
			return t.visit(t.copy[len(t.copy)-held:], n, visit)
		}
	}
	return errTailBusy
}

func (t *Tail) visit(b []byte, n int, visit func(*logdriver.Message)) error {
	starts := make([]int, 0, n)
	for end := len(b); len(starts) < n; {
		if end < tailOverhead {
			return errTailShort
		}
		size := int(binary.LittleEndian.Uint32(b[end-4:]))
		if size > end-tailOverhead {
			return errTailShort
		}
		end -= size + tailOverhead
		starts = append(starts, end)
	}
	for i := len(starts) - 1; i >= 0; i-- {
		size := binary.LittleEndian.Uint32(b[starts[i]:])
		m := logdriver.NewMessage()
		err := t.dec.DecodeEntry(b[starts[i]+4:][:size], m)
		if err == nil {
			visit(m)
		}
		logdriver.PutMessage(m)
		if err != nil {
			return fmt.Errorf("%w: %w", errTail, err)
		}
	}
	return nil
}
