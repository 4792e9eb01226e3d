//go:build unix

package logfile

import (
	"io/fs"
	"os"
	"syscall"
)

// fileID names a file for as long as it exists or is held open.
type fileID struct{ dev, ino uint64 }

func identify(fi fs.FileInfo) fileID {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return fileID{}
	}
	return fileID{dev: uint64(st.Dev), ino: uint64(st.Ino)} //nolint:unconvert // types differ between systems
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
