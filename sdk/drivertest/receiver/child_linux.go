package receiver

import "syscall"

// childAttributes makes receivers end with the process that started them.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
