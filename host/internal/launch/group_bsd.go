//go:build unix && !linux

package launch

import (
	"os/exec"
	"syscall"
)

// prepare puts the process in a group of its own. Its stdin tells it when the
// host dies.
func prepare(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}

// awaitExit reports false: waiting and reaping are one here.
func awaitExit(int) bool { return false }
