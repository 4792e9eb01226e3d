//go:build unix

package child

import (
	"os"
	"syscall"
)

// signalBase is what shells add to a signal's number.
const signalBase = 128

func exitCode(state *os.ProcessState) int {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return signalBase + int(status.Signal())
	}
	return state.ExitCode()
}

// SignalCode is the exit code of a program that a signal ended.
func SignalCode(sig os.Signal) int {
	if s, ok := sig.(syscall.Signal); ok {
		return signalBase + int(s)
	}
	return signalBase
}
