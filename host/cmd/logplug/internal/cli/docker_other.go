//go:build !linux

package cli

import "github.com/spf13/cobra"

// dockerCommands returns none: plugins of Docker are for Linux.
func (a *app) dockerCommands() []*cobra.Command { return nil }
