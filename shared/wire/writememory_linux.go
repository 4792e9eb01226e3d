package wire

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// The seals keep all that reads and writes the memory from failing: its size stays as it is, and
// drivers cannot change it, nor take its pages away.
const (
	sizeSeals        = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW
	writeMemorySeals = sizeSeals | unix.F_SEAL_SEAL | futureWriteSeal
	// futureWriteSeal is F_SEAL_FUTURE_WRITE of fcntl(2): only mappings that there are
	// already can be written to.
	futureWriteSeal = 0x10
)

// NewWriteMemory returns memory to share with a driver, and the file through which a
// driver gets it. It fails on Linux before 5.1, which cannot make that safe.
func NewWriteMemory() (*WriteMemory, *os.File, error) {
	fd, err := memfd("logplug-write-memory")
	if err != nil {
		return nil, nil, os.NewSyscallError("memfd_create", err)
	}
	file := os.NewFile(uintptr(fd), "write memory")
	data, err := mapSealed(fd)
	if err != nil {
		return nil, nil, fmt.Errorf("share memory with a driver: %w", errors.Join(err, file.Close()))
	}
	return newWriteMemory(data, unix.Munmap), file, nil
}

func memfd(name string) (int, error) {
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate(name, flags|unix.MFD_NOEXEC_SEAL)
	if errors.Is(err, unix.EINVAL) { // Linux before 6.3
		fd, err = unix.MemfdCreate(name, flags)
	}
	return fd, err
}

// mapSealed maps the file for writing, which nobody else can then.
func mapSealed(fd int) ([]byte, error) {
	if err := unix.Ftruncate(fd, WriteMemoryBytes); err != nil {
		return nil, os.NewSyscallError("ftruncate", err)
	}
	data, err := unix.Mmap(fd, 0, WriteMemoryBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, os.NewSyscallError("mmap", err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, writeMemorySeals); err != nil {
		return nil, errors.Join(os.NewSyscallError("fcntl F_ADD_SEALS", err), unix.Munmap(data))
	}
	return data, nil
}

// MapWriteMemory maps the memory that a host shares through a descriptor, which stays the
// caller's. It fails unless the memory's size is sealed, as nothing that the host
// does may make an access fail.
func MapWriteMemory(fd int) (*SharedView, error) {
	seals, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	if err != nil {
		return nil, os.NewSyscallError("fcntl F_GET_SEALS", err)
	}
	if seals&sizeSeals != sizeSeals {
		return nil, errors.New("its size is not sealed")
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, os.NewSyscallError("fstat", err)
	}
	if st.Size <= 0 || st.Size > maxSharedBytes {
		return nil, fmt.Errorf("%d bytes, limit %d", st.Size, maxSharedBytes)
	}
	data, err := unix.Mmap(fd, 0, int(st.Size), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, os.NewSyscallError("mmap", err)
	}
	return &SharedView{data: data}, nil
}
