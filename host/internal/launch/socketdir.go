package launch

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

const (
	socketDirPrefix = "lp-"
	lockFile        = "lock"

	// socketDirBytes and socketFileBytes are the most that os.MkdirTemp's name
	// for the directory, and a driver's path inside, "/9999/s/plugin" and a
	// number, add to the path of a socket.
	socketDirBytes  = len("/") + len(socketDirPrefix) + 10
	socketFileBytes = len("/9999/s/plugin") + 10

	// abandonedAge is when a directory without a lock is taken for one whose
	// host died while it was made.
	abandonedAge = time.Hour
)

// NewSocketDir creates a private directory for drivers' sockets inside parent,
// which is created if need be; the empty string means the system's directory
// for temporary files, which also stands in for a parent whose path is
// too long for sockets. release removes the directory; it may be called more than
// once.
//
// Directories of hosts that are gone are removed from parent, and drivers that
// outlived them are killed.
func NewSocketDir(parent string) (dir string, release func() error, err error) {
	parent, err = chooseParent(parent)
	if err != nil {
		return "", nil, err
	}
	sweep(parent)
	dir, err = os.MkdirTemp(parent, socketDirPrefix)
	if err != nil {
		return "", nil, fmt.Errorf("create a directory for sockets: %w", err)
	}
	l, err := lockDir(dir)
	if err != nil {
		_ = os.RemoveAll(dir)
		return "", nil, fmt.Errorf("lock the directory for sockets %s: %w", dir, err)
	}
	return dir, sync.OnceValue(func() error {
		return l.remove(dir)
	}), nil
}

func chooseParent(parent string) (string, error) {
	if parent != "" {
		p, err := filepath.Abs(parent)
		if err != nil {
			return "", fmt.Errorf("create a directory for sockets: %w", err)
		}
		if fits(p) {
			return p, ready(p)
		}
		parent = p
	}
	tmp, err := filepath.Abs(os.TempDir())
	if err != nil {
		return "", fmt.Errorf("create a directory for sockets: %w", err)
	}
	if !fits(tmp) {
		return "", fmt.Errorf("create a directory for sockets: the paths %q and %q are too long, sockets need one of at most %d bytes: set TMPDIR to a shorter one",
			parent, tmp, maxSocketPath-socketDirBytes-socketFileBytes)
	}
	return tmp, ready(tmp)
}

func fits(parent string) bool {
	return len(parent)+socketDirBytes+socketFileBytes <= maxSocketPath
}

// ready makes sure that parent exists and that no other user can replace what is
// in it.
func ready(parent string) error {
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return fmt.Errorf("create a directory for sockets: %w", err)
	}
	fi, err := os.Stat(parent)
	if err != nil {
		return fmt.Errorf("create a directory for sockets: %w", err)
	}
	if err := checkParent(fi); err != nil {
		return fmt.Errorf("create a directory for sockets in %s: %w", parent, err)
	}
	return nil
}

// sweep removes what dead hosts left in parent. What it cannot remove, as the
// directories of other users, it leaves.
func sweep(parent string) {
	entries, err := os.ReadDir(parent)
	if err != nil {
		return
	}
	for _, e := range entries {
		if e.IsDir() && strings.HasPrefix(e.Name(), socketDirPrefix) {
			sweepDir(filepath.Join(parent, e.Name()))
		}
	}
}

func sweepDir(dir string) {
	fi, err := os.Lstat(dir)
	if err != nil || !isPrivate(fi) {
		return
	}
	l, err := lockAbandoned(dir)
	switch {
	case err == nil:
	case os.IsNotExist(err) && time.Since(fi.ModTime()) > abandonedAge:
		_ = os.RemoveAll(dir)
		return
	default:
		return // in use, or about to be
	}
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if e.IsDir() {
			killRecorded(filepath.Join(dir, e.Name()))
		}
	}
	_ = l.remove(dir)
}
