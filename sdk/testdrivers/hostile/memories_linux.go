package main

import (
	"bytes"

	"github.com/logplug/logplug/shared/wire"
	"golang.org/x/sys/unix"
)

// scribble tries to overwrite all of the memory.
func scribble(fd int) {
	_, _ = unix.Pwrite(fd, bytes.Repeat([]byte{0xff}, wire.WriteMemoryBytes), 0)
	if data, err := unix.Mmap(fd, 0, wire.WriteMemoryBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err == nil {
		clear(data)
		_ = unix.Munmap(data)
	}
}

// punch tries to take the memory's pages away.
func punch(fd int) {
	_ = unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, wire.WriteMemoryBytes)
}

// resize tries to leave the host with a mapping of nothing, and with one that grows.
func resize(fd int) {
	_ = unix.Ftruncate(fd, 0)
	_ = unix.Ftruncate(fd, 1<<40)
	_, _ = unix.Pwrite(fd, []byte("x"), 1<<39)
}
