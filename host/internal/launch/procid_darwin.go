package launch

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// processIdentity returns a text that differs between two processes that have
// the same number at different times: the start time in microseconds. It
// fails if there is no such process or it is dead.
func processIdentity(pid int) (string, error) {
	k, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil {
		return "", err
	}
	const zombie = 5 // SZOMB of sys/proc.h
	if int(k.Proc.P_pid) != pid || k.Proc.P_stat == zombie {
		return "", os.ErrProcessDone
	}
	t := k.Proc.P_starttime
	return fmt.Sprintf("%d.%06d", t.Sec, t.Usec), nil
}
