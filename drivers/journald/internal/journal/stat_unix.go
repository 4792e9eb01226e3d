//go:build unix

package journal

import (
	"io/fs"
	"syscall"
)

// fileID tells files apart, whatever they are called.
type fileID struct{ device, inode uint64 }

func identify(fi fs.FileInfo) fileID {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return fileID{uint64(st.Dev), st.Ino}
	}
	return fileID{}
}

// links returns the number of names that a file has.
func links(fi fs.FileInfo) uint64 {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return uint64(st.Nlink)
	}
	return 1
}
