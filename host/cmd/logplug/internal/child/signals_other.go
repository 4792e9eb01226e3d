//go:build !unix

package child

import "os"

// Ends tells whether sig asks a program to end.
func Ends(os.Signal) bool { return true }

// Signals returns the signals to hand on to the command.
func Signals(*Terminal) []os.Signal { return EndingSignals() }

// EndingSignals returns the signals that ask this process to end.
func EndingSignals() []os.Signal { return []os.Signal{os.Interrupt} }

// CatchBrokenPipe does nothing where there is no signal for it.
func CatchBrokenPipe() {}
