//go:build !unix

package child

import "os"

// Terminal is this process's console.
type Terminal struct{}

// OpenTerminal returns the console.
func OpenTerminal() *Terminal { return &Terminal{} }

// Close does nothing.
func (t *Terminal) Close() {}

// Sent tells whether the command got sig already: consoles tell all their
// processes.
func (t *Terminal) Sent(os.Signal) bool { return true }
