package letters

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// writersTimeout bounds waiting for those that write to a file that was moved:
	// each writes once.
	writersTimeout = 10 * time.Second
	writersTick    = 10 * time.Millisecond
)

// awaitWriters waits until nobody has the file open for writing. The kernel grants
// a read lease under just that condition, see fcntl(2).
func awaitWriters(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close() // gives the lease back
	tick := time.NewTicker(writersTick)
	defer tick.Stop()
	for deadline := time.Now().Add(writersTimeout); ; <-tick.C {
		_, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_RDLCK)
		switch {
		case !errors.Is(err, unix.EAGAIN):
			return nil // granted, or the file system has no leases
		case time.Now().After(deadline):
			return fmt.Errorf("a process has had %s open for writing for %v; end it and try again", path, writersTimeout)
		}
	}
}
