//go:build !unix

package launch

import (
	"os"
	"os/exec"
)

func prepare(*exec.Cmd) {}

func awaitExit(int) bool { return false }

// killGroup ends the process; there are no groups.
func killGroup(p *os.Process) { _ = p.Kill() }

// terminateGroup does nothing: there is no polite signal, and the end of the
// process's stdin asks it to end.
func terminateGroup(*os.Process) {}

func exitSignal(*os.ProcessState) string { return "" }
