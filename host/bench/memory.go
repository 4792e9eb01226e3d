package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// fileBytes is what a measurement that writes files writes at most at scale 1, and some more.
const fileBytes = 512 << 20

// touchPages writes a file in dir and removes it, so that the system has pages at hand
// for the files to come. A virtual machine's system may have returned free memory to its
// hypervisor, which then takes 10 µs to bring back a page: more than all else that is to
// be measured does with it.
func touchPages(dir string, bytes int) error {
	path := filepath.Join(dir, "pages")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		f.Close()
		os.Remove(path)
	}()
	piece := make([]byte, 64<<10)
	for range bytes / len(piece) {
		if _, err := f.Write(piece); err != nil {
			return fmt.Errorf("writing %d MiB, as much as the logs to come, to the directory of -scratch: %w", bytes>>20, err)
		}
	}
	return nil
}
