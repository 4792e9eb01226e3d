//go:build unix

package spool

import (
	"errors"
	"fmt"
	"os"

	"github.com/logplug/logplug/host/internal/filelock"
	"golang.org/x/sys/unix"
)

// file is a medium: a file that is mapped whole.
type file struct {
	f     *os.File
	mem   []byte
	grown int // by this process

	// allocate takes room on the disk. Where it is unix.EOPNOTSUPP, writing does.
	allocate func(f *os.File, off, n int64) error
}

func mapFile(path string, limit int) (medium, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	m, err := mapOpened(f, limit)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return m, nil
}

func mapOpened(f *os.File, limit int) (*file, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	size, err := roundSize(limit, st.Size())
	if err != nil {
		return nil, err
	}
	// The file is sparse: room on the disk is taken by Grow.
	if err := f.Truncate(int64(size)); err != nil {
		return nil, err
	}
	mem, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", f.Name(), err)
	}
	return &file{f: f, mem: mem, allocate: allocate}, nil
}

func (m *file) Bytes() []byte { return m.mem }

// Grow takes room on the disk, because running out of it when mapped memory is
// written to would end the process. At first it takes again what an earlier process
// had, lest a copy of the file has holes there; but writing must leave alone what is in
// use: it would undo what is written through the memory meanwhile.
func (m *file) Grow(used, n int) error {
	if n <= m.grown {
		return nil
	}
	err := m.allocate(m.f, int64(m.grown), int64(n-m.grown))
	if errors.Is(err, unix.EOPNOTSUPP) {
		from := max(m.grown, used)
		err = touch(m.f, int64(from), int64(n-from))
	}
	if err != nil {
		return fmt.Errorf("take %d bytes for %s: %w", n-m.grown, m.f.Name(), err)
	}
	m.grown = n
	return nil
}

// diskFull tells whether err says that a file cannot grow because there is no room
// for it at present: on the disk, in a quota, or below a limit of the process.
func diskFull(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EFBIG)
}

func (m *file) Sync() error {
	if err := unix.Msync(m.mem, unix.MS_SYNC); err != nil {
		return fmt.Errorf("sync %s: %w", m.f.Name(), err)
	}
	return nil
}

func (m *file) Close() error { return errors.Join(unix.Munmap(m.mem), m.f.Close()) }

func lockFileAt(path string) (*os.File, error) {
	f, err := filelock.Acquire(path)
	if errors.Is(err, filelock.ErrHeld) {
		err = ErrInUse
	}
	return f, err
}
