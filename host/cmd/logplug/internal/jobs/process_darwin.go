package jobs

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// identity returns a text that differs between two processes that have the same
// number at different times: the start time. It is empty if there is no such
// process or it is dead.
func identity(pid int) string {
	const zombie = 5 // SZOMB of sys/proc.h
	k, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil || int(k.Proc.P_pid) != pid || k.Proc.P_stat == zombie {
		return ""
	}
	t := k.Proc.P_starttime
	return fmt.Sprintf("%d.%06d", t.Sec, t.Usec)
}
