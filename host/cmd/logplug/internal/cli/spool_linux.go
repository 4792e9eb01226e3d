package cli

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/logplug/logplug/host/internal/spool"
)

const (
	// spoolRetry is the pause before a spool is opened again that is in use. Opening it waits a
	// while itself.
	spoolRetry = 50 * time.Millisecond
	// maxRemovals bounds how often a spool may be removed while it is being opened.
	maxRemovals = 10
)

// awaitSpool calls open, which opens a spool, until the process that uses the spool has let go
// of it, and begins no try later than limit: another one that logged the container, or a logplug serve that
// is being stopped while it delivers what is left there.
func awaitSpool(limit time.Duration, open func() error) (err error) {
	deadline := time.Now().Add(limit)
	for removals := 0; ; {
		switch err = open(); {
		case errors.Is(err, fs.ErrNotExist) && removals < maxRemovals: // removed by somebody else, with removeSpool
			removals++
		case errors.Is(err, spool.ErrInUse) && time.Now().Before(deadline):
			time.Sleep(spoolRetry)
		default:
			return err
		}
	}
}

// removeSpool removes a spool in which there are no messages, and tells whether it has. It
// has the spool's lock meanwhile, and takes the directory away in one step, so that
// nobody uses what is being removed: who waits for the lock finds the path gone.
func removeSpool(dir string) (removed bool, err error) {
	d, runs, err := spool.Open(dir, aloneSpool)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	if len(runs) > 0 {
		return false, nil
	}
	// No job has such a name. If this process is killed now, the next serve finds it.
	aside := filepath.Join(filepath.Dir(dir), ".gone-"+rand.Text())
	if err := os.Rename(dir, aside); err != nil {
		return false, err
	}
	return true, os.RemoveAll(aside)
}
