//go:build !unix

package launch

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// dirLock says that a host lives and uses its directory: the file cannot be
// removed by others while it is open.
type dirLock struct{ file *os.File }

func lockDir(dir string) (*dirLock, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	return &dirLock{f}, nil
}

// lockAbandoned fails for a directory that a host has open.
func lockAbandoned(dir string) (*dirLock, error) {
	path := filepath.Join(dir, lockFile)
	if err := os.Remove(path); err != nil {
		return nil, err
	}
	return lockDir(dir)
}

// remove lets go of the file first: open files cannot be removed.
func (l *dirLock) remove(dir string) error { return errors.Join(l.file.Close(), os.RemoveAll(dir)) }

// isPrivate relies on the access rules of the user's own temporary directory.
func isPrivate(fi fs.FileInfo) bool { return fi.IsDir() }

func checkParent(fi fs.FileInfo) error {
	if !fi.IsDir() {
		return errors.New("it is not a directory")
	}
	return nil
}
