//go:build unix

package child

import (
	"os"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// Terminal is this process's controlling terminal.
//
// What is typed at a terminal (^C) reaches all of its foreground process group,
// the command as well as logplug, and must not be handed on a second time. Who
// sent a signal cannot be told: so while logplug is in the foreground, the
// signals that terminals send are left to the terminal. A command that
// has a terminal stays in logplug's group, because it could not read from it
// otherwise. Without a terminal the command gets a group of its own, and
// every signal from logplug, also one to all of logplug's group.
type Terminal struct{ file *os.File }

// OpenTerminal returns the controlling terminal, or nil if there is none.
func OpenTerminal() *Terminal {
	f, err := os.OpenFile("/dev/tty", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil
	}
	return &Terminal{f}
}

// Close lets go of the terminal.
func (t *Terminal) Close() {
	if t != nil {
		t.file.Close()
	}
}

// Sent tells whether sig comes from the terminal, so that the command has got it
// already.
func (t *Terminal) Sent(sig os.Signal) bool {
	if t == nil {
		return false
	}
	group, err := unix.IoctlGetInt(int(t.file.Fd()), unix.TIOCGPGRP)
	if err != nil { // it hung up, which it has told all of the group
		return sig == syscall.SIGHUP
	}
	fromTerminal := []os.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGWINCH, syscall.SIGCONT}
	return group == unix.Getpgrp() && slices.Contains(fromTerminal, sig)
}
