package cli

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/agext/levenshtein"
	"github.com/logplug/logplug/shared/wire"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "logplug COMMAND",
		Short: "Send the output of commands to log drivers, and read it back",
		Long: `Logplug runs a command with its output going to a log driver, a program of its
own, and reads it back:

  logplug run --id build -- make all
  logplug logs -f build`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return unknownCommand(cmd, args[0])
		},
		ValidArgsFunction: cobra.NoFileCompletions,
		// Cobra's default is set only where cobra itself makes the suggestion.
		SuggestionsMinimumDistance: 2,
	}
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetFlagErrorFunc(flagError)
	root.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp)
	a.addGlobalFlags(root)
	root.AddCommand(a.runCommand(), a.logsCommand(), a.lsCommand(), a.rmCommand(),
		a.deadLettersCommand(), a.driversCommand(), a.describeCommand(), a.checkCommand(), a.versionCommand())
	root.AddCommand(a.dockerCommands()...)
	root.AddCommand(a.containerCommands()...)
	root.AddCommand(a.importCommand())
	return root
}

func (a *app) addGlobalFlags(root *cobra.Command) {
	f := root.PersistentFlags()
	f.StringArrayVar(&a.pluginDirs, "plugin-dir", nil,
		"search drivers in `DIR` (repeatable; $"+wire.EnvPluginDir+"; default: drivers beside logplug, then the system's)")
	f.StringVar(&a.stateDir, "state-dir", "",
		"keep records of jobs in `DIR` ($"+wire.EnvStateDir+"; default: ~/.local/state/logplug)")
	f.StringArrayVar(&a.driverEnv, "driver-env", nil,
		"let drivers see the environment variable `NAME` (repeatable; NAME=VALUE sets it, NAME* means all that begin so)")
	f.StringVar(&a.pins, "pins", "",
		"use only drivers whose SHA-256 sums are in `FILE`, in the form that sha256sum prints")
	f.BoolVarP(&a.verbose, "verbose", "v", false, "show the log of logplug and of drivers on stderr")
	for _, dir := range []string{"plugin-dir", "state-dir"} {
		mustComplete(root, dir, completeDirs)
	}
	mustComplete(root, "pins", completeFiles)
	mustComplete(root, "driver-env", completeEnvironment)
}

func unknownCommand(cmd *cobra.Command, name string) error {
	text := fmt.Sprintf("unknown command %q", name)
	if near := cmd.SuggestionsFor(name); len(near) > 0 {
		text += fmt.Sprintf("; did you mean %q?", near[0])
	} else {
		text += "; see logplug --help"
	}
	return &usageError{errors.New(text)}
}

// flagError adds to an unknown flag's error what may have been meant.
func flagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) || unknown.GetSpecifiedShortnames() != "" {
		return &usageError{fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())}
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	if near := nearest(unknown.GetSpecifiedName(), names); near != "" {
		return &usageError{fmt.Errorf("%w; did you mean --%s?", err, near)}
	}
	return &usageError{fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())}
}

// nearest returns the candidate that a user who wrote name may have meant.
func nearest(name string, candidates []string) string {
	best, bestScore := "", 0.5
	for _, c := range candidates {
		if score := levenshtein.Similarity(name, c, nil); score > bestScore {
			best, bestScore = c, score
		}
	}
	return best
}

// wantArgs makes a check of the number of arguments, which are called what.
func wantArgs(atLeast, atMost int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < atLeast:
			return &usageError{fmt.Errorf("%s needs %s; see %[1]s --help", cmd.CommandPath(), what)}
		case len(args) > atMost:
			return &usageError{fmt.Errorf("%s takes %s only, not %s; see %[1]s --help",
				cmd.CommandPath(), what, strings.Join(args[atMost:], " "))}
		}
		return nil
	}
}

func completeFiles(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveDefault
}

func completeDirs(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveFilterDirs
}

func completeEnvironment(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	var names []string
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		names = append(names, name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
