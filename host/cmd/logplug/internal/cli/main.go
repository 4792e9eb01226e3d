// Package cli is the command line of logplug.
package cli

import (
	"context"
	"os"

	"github.com/logplug/logplug/host/cmd/logplug/internal/child"
)

// Main runs logplug with the arguments that follow its name, and returns its exit
// code.
func Main(args []string) int {
	child.CatchBrokenPipe()
	a := newApp(os.Stdin, os.Stdout, os.Stderr)
	root := a.rootCommand()
	root.SetArgs(invoked(args))
	cmd, err := root.ExecuteContextC(context.Background())
	if err == nil {
		return 0
	}
	return a.report(err, cmd.Name() == runName)
}
