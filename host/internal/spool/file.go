package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
)

// ErrInUse is returned by Open for a directory that another process uses.
var ErrInUse = errors.New("spool directory is in use by another process")

const (
	lockFile = "lock"
	dataFile = "messages"
)

// Dir is a spool directory that this process uses alone.
type Dir struct {
	*Arena
	path string
	lock *os.File

	sync  func(*os.File) error
	named atomic.Bool // the directory's own name and those in it are durable
}

// Open opens a spool directory, making it if need be, for up to limit bytes of
// messages. A directory that holds more than that keeps its size. The
// runs are what earlier processes left in it.
func Open(path string, limit int) (d *Dir, runs []Run, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("open spool directory %s: %w", path, err)
		}
	}()
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, nil, err
	}
	if err := os.Chmod(path, 0o700); err != nil {
		return nil, nil, err
	}
	lock, err := lockFileAt(filepath.Join(path, lockFile))
	if err != nil {
		return nil, nil, err
	}
	m, err := mapFile(filepath.Join(path, dataFile), limit)
	if err != nil {
		return nil, nil, errors.Join(err, lock.Close())
	}
	a, runs, err := openArena(m)
	if err != nil {
		return nil, nil, errors.Join(err, m.Close(), lock.Close())
	}
	return &Dir{Arena: a, path: path, lock: lock, sync: (*os.File).Sync}, runs, nil
}

// Path returns the directory.
func (d *Dir) Path() string { return d.path }

// Close lets go of the directory. No block may be used afterwards.
func (d *Dir) Close() error { return errors.Join(d.Arena.Close(), d.lock.Close()) }

// roundSize returns the size of the data file for a limit: whole pages, one of
// them for the file's own header, and not less than the file has.
func roundSize(limit int, existing int64) (int, error) {
	n := max(int64(pagesFor(limit)+1)*pageBytes, existing)
	if n > maxArenaBytes || int64(int(n)) != n {
		return 0, fmt.Errorf("%d bytes are more than a spool can hold here", n)
	}
	return int(n) / pageBytes * pageBytes, nil
}
