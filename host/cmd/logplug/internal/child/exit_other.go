//go:build !unix

package child

import "os"

func exitCode(state *os.ProcessState) int { return state.ExitCode() }

// SignalCode is the exit code of a program that an interrupt ended.
func SignalCode(os.Signal) int { return 130 }
