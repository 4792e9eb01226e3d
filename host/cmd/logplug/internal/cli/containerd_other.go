//go:build !linux

package cli

import "github.com/spf13/cobra"

// containerCommands are those for containers, which need Linux.
func (a *app) containerCommands() []*cobra.Command { return nil }

func invoked(args []string) []string { return args }
