//go:build unix

package launch

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// killGroup ends the process and all others of its group.
func killGroup(p *os.Process) { signalGroup(p, syscall.SIGKILL) }

// terminateGroup asks them to end. Those that are stopped are woken to hear it.
func terminateGroup(p *os.Process) {
	signalGroup(p, syscall.SIGTERM)
	signalGroup(p, syscall.SIGCONT)
}

func signalGroup(p *os.Process, s syscall.Signal) {
	// The process leads its group, see prepare. The only error is that nobody
	// is left in it.
	_ = syscall.Kill(-p.Pid, s)
}

func exitSignal(s *os.ProcessState) string {
	if w, ok := s.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return unix.SignalName(w.Signal())
	}
	return ""
}
