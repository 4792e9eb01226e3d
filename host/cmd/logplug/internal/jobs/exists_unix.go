//go:build unix

package jobs

import "golang.org/x/sys/unix"

// exists tells whether there is a process pid, of whichever user.
func exists(pid int) bool { return unix.Kill(pid, 0) != unix.ESRCH }
