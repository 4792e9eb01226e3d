//go:build unix

package discover

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// trusted refuses what somebody other than root and the current user can change.
func trusted(fi fs.FileInfo) error {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return errors.New("its owner is unknown")
	}
	return trustedMode(fi.Mode(), int(st.Uid), int(st.Gid), os.Geteuid())
}

// trustedMode is trusted for a file's mode, owner and group, and user me.
func trustedMode(mode fs.FileMode, uid, gid, me int) error {
	perm := mode.Perm()
	switch {
	case uid != 0 && uid != me:
		return fmt.Errorf("it belongs to user %d: only files of root and of the current user (%d) are trusted", uid, me)
	case perm&0o002 != 0:
		return fmt.Errorf("everybody can write to it (mode %04o): run chmod o-w", perm)
	case perm&0o020 != 0 && gid != uid: // gid == uid: a user's own group, or root's
		return fmt.Errorf("group %d can write to it (mode %04o): run chmod g-w", gid, perm)
	}
	return nil
}

func executable(fi fs.FileInfo) error {
	if fi.Mode().Perm()&0o111 == 0 {
		return fmt.Errorf("it is not executable (mode %04o): run chmod +x", fi.Mode().Perm())
	}
	return nil
}
