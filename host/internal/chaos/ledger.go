//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ledger counts, in mapped memory that survives SIGKILL as the spool does, the
// messages of each writer that Log has accepted.
type ledger struct {
	mem []byte
}

const counterBytes = 8

// openLedger maps the file at path, which has room for the given number of
// writers.
func openLedger(path string, writers int) (*ledger, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	size := writers * counterBytes
	if err := f.Truncate(int64(size)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	mem, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("map %s: %w", path, err), f.Close())
	}
	return &ledger{mem}, f.Close()
}

// counter returns the count of one writer. Only that writer may change it.
func (l *ledger) counter(writer int) *atomic.Uint64 {
	// A mapping begins on a page, so its words are aligned.
	return (*atomic.Uint64)(unsafe.Pointer(&l.mem[writer*counterBytes]))
}

func (l *ledger) close() error { return unix.Munmap(l.mem) }
