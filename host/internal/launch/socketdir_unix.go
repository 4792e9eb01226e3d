//go:build unix

package launch

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// dirLock says that a host lives and uses its directory.
type dirLock struct{ files []*os.File }

// lockDir locks a new directory. The lock file gets its name only once it is
// locked: a lock file that nobody holds is one of a dead host.
func lockDir(dir string) (*dirLock, error) {
	l := &dirLock{}
	tmp, path := filepath.Join(dir, lockFile+".new"), filepath.Join(dir, lockFile)
	if err := l.hold(tmp, os.O_CREATE|os.O_RDWR); err != nil {
		return nil, err
	}
	if err := os.Rename(tmp, path); err != nil {
		_ = l.release()
		return nil, err
	}
	// Cleaners of temporary files, such as systemd-tmpfiles, leave directories
	// alone that are locked themselves. Not all file systems can do that.
	_ = l.hold(dir, os.O_RDONLY)
	return l, nil
}

// lockAbandoned locks the directory of a host that is gone.
func lockAbandoned(dir string) (*dirLock, error) {
	path := filepath.Join(dir, lockFile)
	l := &dirLock{}
	if err := l.hold(path, os.O_RDWR); err != nil {
		return nil, err
	}
	// Somebody else may have swept meanwhile.
	now, err := os.Lstat(path)
	if err == nil {
		var mine fs.FileInfo
		if mine, err = l.files[0].Stat(); err == nil && !os.SameFile(now, mine) {
			err = errors.New("the lock file was replaced")
		}
	}
	if err != nil {
		_ = l.release()
		return nil, err
	}
	return l, nil
}

func (l *dirLock) hold(path string, flag int) error {
	f, err := os.OpenFile(path, flag|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		return os.NewSyscallError("flock", err)
	}
	l.files = append(l.files, f)
	return nil
}

// remove removes the directory. The lock is held to the last, so that nobody
// sweeps what is being removed, and its file goes last: who is killed meanwhile
// leaves a directory that the next host can tell is abandoned.
func (l *dirLock) remove(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if e.Name() != lockFile {
			err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
	return errors.Join(err, os.RemoveAll(dir), l.release())
}

func (l *dirLock) release() error {
	var err error
	for _, f := range l.files {
		err = errors.Join(err, f.Close())
	}
	return err
}

// isPrivate tells that a directory belongs to this user and nobody else can list
// or change it. Drivers of other users pass through.
func isPrivate(fi fs.FileInfo) bool {
	st, ok := fi.Sys().(*syscall.Stat_t)
	return ok && fi.IsDir() && fi.Mode().Perm()&0o066 == 0 && int(st.Uid) == os.Geteuid()
}

// checkParent refuses a directory in which others could replace ours.
func checkParent(fi fs.FileInfo) error {
	st, ok := fi.Sys().(*syscall.Stat_t)
	switch {
	case !fi.IsDir():
		return errors.New("it is not a directory")
	case !ok || (int(st.Uid) != os.Geteuid() && st.Uid != 0):
		return errors.New("it belongs to another user: choose a directory of your own")
	case fi.Mode().Perm()&0o022 != 0 && fi.Mode()&fs.ModeSticky == 0:
		return errors.New("others can write to it: remove their permission, or choose a directory of your own")
	}
	return nil
}
