package cli

import (
	"fmt"
	"math"

	"github.com/spf13/cobra"
)

func (a *app) rmCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "rm ID...",
		Aliases: []string{"remove"},
		Short:   "Remove jobs that have ended, with their logs",
		Long: `Remove the records of jobs that have ended, and the log files that their drivers
keep in the state directory. What a driver keeps in other places stays there.`,
		Args:              wantArgs(1, math.MaxInt, "the id of a job"),
		ValidArgsFunction: a.completeJobs,
		RunE: func(_ *cobra.Command, args []string) error {
			store, err := a.store()
			if err != nil {
				return err
			}
			failed := false
			for _, ref := range args {
				j, err := store.Find(ref)
				if err == nil {
					err = store.Remove(j.ID)
				}
				if err != nil {
					failed = true
					a.notices.Printf("%v", err)
					continue
				}
				if _, err := fmt.Fprintln(a.stdout, j.ID); err != nil {
					return quietPipe(err)
				}
			}
			if failed {
				return exit(codeFailure)
			}
			return nil
		},
	}
}
