//go:build unix

package child

import (
	"os"
	"os/signal"
	"slices"
	"syscall"
)

// ending are the signals that ask a program to end.
var ending = []os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM}

// Ends tells whether sig asks a program to end.
func Ends(sig os.Signal) bool { return slices.Contains(ending, sig) }

// Signals returns the signals to hand on to the command. Those that this process
// was told to ignore, as nohup does with SIGHUP, stay ignored by both. The
// stop from a terminal stays unhandled where there is one: it stops this
// process as it stops the command.
func Signals(t *Terminal) []os.Signal {
	all := append([]os.Signal{
		syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH, syscall.SIGCONT, syscall.SIGALRM, syscall.SIGABRT,
	}, ending...)
	if t == nil {
		all = append(all, syscall.SIGTSTP)
	}
	return slices.DeleteFunc(all, signal.Ignored)
}

// EndingSignals returns the signals that ask this process to end, without those
// that it was told to ignore.
func EndingSignals() []os.Signal {
	return slices.DeleteFunc(slices.Clone(ending), signal.Ignored)
}

// CatchBrokenPipe makes writing to a pipe that nobody reads an error rather than
// the end of this process. Programs that are started have the default again,
// which they would not have if the signal was ignored.
func CatchBrokenPipe() {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
}
