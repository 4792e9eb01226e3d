package jobs

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// identity returns a text that differs between two processes that have the same
// number at different times: the start time. It is empty if there is no such
// process or it is dead.
func identity(pid int) (string, error) {
	const zombie = 5 // SZOMB of sys/proc.h
	k, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	switch {
	case errors.Is(err, unix.ESRCH), errors.Is(err, unix.EIO): // EIO: the answer is empty
		return "", nil
	case err != nil:
		return "", fmt.Errorf("look at process %d: %w", pid, err)
	case int(k.Proc.P_pid) != pid, k.Proc.P_stat == zombie:
		return "", nil
	}
	t := k.Proc.P_starttime
	return fmt.Sprintf("%d.%06d", t.Sec, t.Usec), nil
}
