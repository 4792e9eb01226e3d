package cli

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/host/cmd/logplug/internal/containerd"
	"github.com/logplug/logplug/host/cmd/logplug/internal/handover"
	"github.com/logplug/logplug/host/cmd/logplug/internal/jobs"
	"github.com/logplug/logplug/host/cmd/logplug/internal/serve"
	"github.com/spf13/cobra"
)

// serveOptions are the flags of logplug serve.
type serveOptions struct {
	socket       string
	spoolDir     string
	spoolSync    string
	closeTimeout time.Duration
	stopTimeout  time.Duration
}

func (a *app) serveCommand() *cobra.Command {
	var o serveOptions
	cmd := &cobra.Command{
		Use:   "serve [flags]",
		Short: "Log the output of many containers with one process",
		Long: `Take over the output of containers that containerd runs with logplug as their
logger, see logplug containerd. One process serves all of them, so that a container
costs a small one only; it needs no configuration.

What drivers have not taken is in the spool directory. When serve is killed and
started again, it delivers that first, and goes on with the containers where it
was; they do not notice unless they fill their pipes meanwhile. SIGTERM makes it
deliver what it has, for at most --stop-timeout, and end; the rest stays in the spool
directory.`,
		Args:              wantArgs(0, 0, "flags"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(*cobra.Command, []string) error { return a.serve(&o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.socket, "socket", handover.DefaultSocket(), "listen on `PATH`")
	f.StringVar(&o.spoolDir, "spool-dir", "", "keep what drivers have not taken in `DIR` (default: spool in the state directory)")
	f.StringVar(&o.spoolSync, "spool-sync", "", "when to make it survive a loss of power, `WHEN`: none, interval (every second) or always")
	f.DurationVar(&o.closeTimeout, "close-timeout", 10*time.Second, "at the end of a container, how long its driver may take")
	f.DurationVar(&o.stopTimeout, "stop-timeout", 10*time.Second, "after SIGTERM, how long drivers may take")
	mustComplete(cmd, "socket", completeFiles)
	mustComplete(cmd, "spool-dir", completeDirs)
	mustComplete(cmd, "spool-sync", cobra.FixedCompletions(syncPolicies(), cobra.ShellCompDirectiveNoFileComp))
	mustComplete(cmd, "close-timeout", cobra.NoFileCompletions)
	mustComplete(cmd, "stop-timeout", cobra.NoFileCompletions)
	return cmd
}

func (o *serveOptions) check() error {
	switch {
	case o.closeTimeout <= 0 || o.stopTimeout <= 0:
		return &usageError{errors.New("--close-timeout and --stop-timeout must be positive")}
	case o.spoolSync != "" && !slices.Contains(syncPolicies(), o.spoolSync):
		return &usageError{errors.New("--spool-sync: want none, interval or always")}
	}
	return nil
}

func (a *app) serve(o *serveOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	ctx, stopSignals := interruptible()
	defer stopSignals()
	store, err := a.store()
	if err != nil {
		return err
	}
	if o.spoolDir == "" {
		o.spoolDir = filepath.Join(store.Dir(), "spool")
	}
	a.hostLog.release()
	h, _, err := a.openHost(hclog.Info, host.Config{
		// A container waits while its driver takes nothing, unless its options say otherwise.
		Timeouts:    host.Timeouts{Log: math.MaxInt64, Close: o.closeTimeout},
		Spool:       host.SpoolConfig{Dir: o.spoolDir, Sync: host.SyncPolicy(o.spoolSync)},
		DeadLetters: store.DeadLetters(),
	})
	if err != nil {
		return err
	}
	defer a.closeHost(h, o.stopTimeout)
	s, err := serve.Listen(o.socket, serve.Config{
		Host: h, Store: store, CloseTimeout: o.closeTimeout, Logger: a.serviceLog("serve"),
		Job: func(r *handover.Request) (jobs.Job, error) {
			return containerJob(store, containerd.Container{ID: r.ID, Namespace: r.Namespace}, r.Settings)
		},
	})
	if err != nil {
		return err
	}
	var spools sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	spools.Go(func() { a.deliverSpools(ctx, store) })
	defer spools.Wait()
	defer cancel() // Serve may have failed
	a.notices.Printf("ready: %s", o.socket)
	err = s.Serve(ctx)
	s.Stop()
	a.closeHost(h, o.stopTimeout)
	s.Wait()
	return err
}

// closeHost delivers what there is, within the limit; closing again does nothing. What
// is left is in the spool directory, and no failure.
func (a *app) closeHost(h *host.Host, limit time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if err := h.Close(ctx); err != nil {
		a.notices.Printf("closing: %v", err)
	}
}

// serviceLog is what a service itself logs to.
func (a *app) serviceLog(name string) hclog.Logger {
	level := hclog.Info
	if a.verbose {
		level = hclog.Debug
	}
	return hclog.New(&hclog.LoggerOptions{Name: name, Level: level, Output: a.hostLog, DisableTime: !a.verbose})
}

// containerJob makes the job of a container from the parameters of its log URI.
func containerJob(store *jobs.Store, c containerd.Container, pairs []string) (jobs.Job, error) {
	settings, err := containerd.ParseSettings(pairs)
	if err != nil {
		return jobs.Job{}, err
	}
	config, err := parseOptions(nil, settings.OptionFiles)
	if err != nil {
		return jobs.Job{}, err
	}
	for name, value := range settings.Options {
		config[name] = value
	}
	if settings.Driver == "" {
		settings.Driver = defaultDriver
	}
	return settings.Job(c, store, config)
}
