package cli

import (
	"context"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/sdk/drivertest"
	"github.com/logplug/logplug/shared/logdriver"
	"github.com/spf13/cobra"
)

// completionTimeout bounds what a user who pressed the tab key waits for a driver.
const completionTimeout = 10 * time.Second

// completeCommand completes the command of logplug run: its arguments, and what it is
// called where that is a file.
func completeCommand(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveDefault
}

// firstArg completes the first argument only.
func firstArg(f cobra.CompletionFunc) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, text string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return f(cmd, args, text)
	}
}

// completeJobs completes ids of jobs.
func (a *app) completeJobs(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	store, err := a.store()
	if err != nil || (len(args) > 0 && cmd.Name() == "logs") {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var ids []string
	list, _ := store.List() // damaged records are for logplug ls to complain about
	for _, j := range list {
		ids = append(ids, cobra.CompletionWithDesc(j.ID, string(j.State())+": "+visible(strings.Join(j.Command, " "), shownCommand)))
	}
	return ids, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
}

// completeDrivers completes names of drivers.
func (a *app) completeDrivers(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	var names []string
	a.withHost(func(ctx context.Context, h *host.Host) {
		for _, d := range h.Drivers(ctx) {
			if d.Description != nil {
				names = append(names, cobra.CompletionWithDesc(d.Name, oneLine(d.Description.Summary)))
			}
		}
	})
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeOptions completes options of the named driver, and values that are known.
func (a *app) completeOptions(driver *string) cobra.CompletionFunc {
	return func(_ *cobra.Command, _ []string, text string) (list []string, _ cobra.ShellCompDirective) {
		a.withHost(func(ctx context.Context, h *host.Host) {
			d, err := h.Describe(ctx, *driver)
			if err != nil {
				return
			}
			name, _, hasValue := strings.Cut(text, "=")
			for _, o := range append(driverOptions(&d), logplugOptions(&d)...) {
				switch {
				case !hasValue:
					list = append(list, cobra.CompletionWithDesc(o.Name+"=", oneLine(o.completionHelp())))
				case o.Name == name:
					list = append(list, valuesOf(&o.Option)...)
				}
			}
		})
		return list, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
}

func valuesOf(o *logdriver.Option) (list []string) {
	values := o.Values
	if o.Type == logdriver.TypeBool {
		values = []string{"true", "false"}
	}
	for _, v := range values {
		list = append(list, o.Name+"="+oneLine(v))
	}
	return list
}

// withHost calls f with a host, for a short time. Errors have no place to go to
// while a command line is being completed.
func (a *app) withHost(f func(ctx context.Context, h *host.Host)) {
	h, stop, err := a.openHost(hclog.Off, host.Config{Timeouts: host.Timeouts{Start: completionTimeout, Call: completionTimeout}})
	if err != nil {
		return
	}
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), completionTimeout)
	defer cancel()
	f(ctx, h)
}

// completeRules completes names of rules.
func completeRules(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	var list []string
	for _, r := range drivertest.Rules() {
		list = append(list, cobra.CompletionWithDesc(r.ID, r.Text))
	}
	return list, cobra.ShellCompDirectiveNoFileComp
}
