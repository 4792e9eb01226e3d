//go:build linux

package carry

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

const seals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL

// ErrForeign is what Open ends with for a file that is not one of this package.
var ErrForeign = errors.New("the carry file is not one that this version of logplug made")

// File is the memory for the streams of one container.
type File struct {
	file *os.File
	mem  []byte
	head *header
}

// Create makes a file for lines that are split above size bytes, which is bounded by
// MaxLine.
func Create(size int) (*File, error) {
	fd, err := unix.MemfdCreate("logplug-carry", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("make shared memory for a container's output: %w", err)
	}
	file := os.NewFile(uintptr(fd), "logplug-carry")
	err = file.Truncate(totalBytes)
	if err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals)
	}
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("make shared memory for a container's output: %w", err)
	}
	f, err := mapped(file)
	if err != nil {
		return nil, err
	}
	var seed [8]byte
	rand.Read(seed[:]) // never fails
	f.head.fill = binary.LittleEndian.Uint64(seed[:])
	f.SetSize(size)
	rand.Read(f.head.logger[:])
	f.head.magic.Store(magic)
	return f, nil
}

// Open maps the file behind a descriptor, which belongs to the File from then on.
func Open(fd int) (*File, error) {
	unix.CloseOnExec(fd)
	file := os.NewFile(uintptr(fd), "logplug-carry")
	got, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	info, serr := file.Stat()
	// A file that can shrink would end this process when it does.
	if err != nil || serr != nil || got&unix.F_SEAL_SHRINK == 0 || info.Size() != totalBytes {
		_ = file.Close()
		return nil, ErrForeign
	}
	f, err := mapped(file)
	if err != nil {
		return nil, err
	}
	if !f.valid() {
		_ = f.Close()
		return nil, ErrForeign
	}
	return f, nil
}

func mapped(file *os.File) (*File, error) {
	mem, err := unix.Mmap(int(file.Fd()), 0, totalBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("map shared memory for a container's output: %w", err)
	}
	return &File{file: file, mem: mem, head: (*header)(unsafe.Pointer(&mem[0]))}, nil
}

func (f *File) valid() bool {
	h := f.head
	if h.magic.Load() != magic || h.size == 0 || h.size > MaxLine {
		return false
	}
	for i := range h.cells {
		if s := h.cells[i].get(); !s.valid() {
			return false
		}
	}
	return true
}

// FD returns the descriptor, for handing it on.
func (f *File) FD() int { return int(f.file.Fd()) }

// Stream returns a logdriver.Info.Stream for the container's logger.
func (f *File) Stream() string { return hex.EncodeToString(f.head.logger[:]) }

// Renew makes another Stream: the container's logger does not go on with the numbers
// of the one before.
func (f *File) Renew() {
	f.head.intent.stream.Store(0)
	rand.Read(f.head.logger[:])
}

// SetSize sets above which length lines are split, 1 to MaxLine. It is not changed
// while a line is incomplete: the next reader must split as this one does.
func (f *File) SetSize(n int) { f.head.size = uint64(min(max(n, 1), MaxLine)) }

// Close unmaps the memory.
func (f *File) Close() error { return errors.Join(unix.Munmap(f.mem), f.file.Close()) }

// half returns one half of a stream's buffer.
func (f *File) half(stream int, n uint64) []byte {
	off := headerBytes + (2*stream+int(n))*halfBytes
	return f.mem[off : off+halfBytes : off+halfBytes]
}
