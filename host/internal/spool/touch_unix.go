//go:build unix

package spool

import (
	"io"
	"os"
)

// touch writes back what the file has at these places, so that its file system
// takes room for them.
func touch(f *os.File, off, n int64) error {
	page := make([]byte, pageBytes)
	for ; n > 0; off, n = off+pageBytes, n-pageBytes {
		if _, err := f.ReadAt(page, off); err != nil && err != io.EOF {
			return err
		}
		if _, err := f.WriteAt(page, off); err != nil {
			return err
		}
	}
	return nil
}
