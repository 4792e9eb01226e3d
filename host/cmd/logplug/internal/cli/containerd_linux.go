package cli

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/signal"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/host/cmd/logplug/internal/carry"
	"github.com/logplug/logplug/host/cmd/logplug/internal/containerd"
	"github.com/logplug/logplug/host/cmd/logplug/internal/relay"
	"github.com/spf13/cobra"
)

const (
	// relayName is the small program for what logplug containerd does.
	relayName = "logplug-containerd"
	// aloneGrace is for how long after SIGTERM the output is read to its end, and
	// aloneClose how long the driver may take then: containerd kills its logger 12 s
	// after SIGTERM. It is aloneLate where all of aloneGrace has gone by: the host needs 2 s
	// more for a driver that hangs.
	aloneGrace = 3 * time.Second
	aloneClose = 7 * time.Second
	aloneLate  = 5 * time.Second
	// aloneSpool bounds the spool of a container that is logged alone.
	aloneSpool = 16 << 20
)

func (a *app) containerdCommand() *cobra.Command {
	var alone bool
	cmd := &cobra.Command{
		Use:   "containerd [flags] [NAME VALUE]...",
		Short: "Log a container's output, run by containerd",
		Long: `Log the output of one container. Containerd runs this, for a container whose log
URI has the scheme binary:

  ctr run --log-uri 'binary:///usr/bin/logplug-containerd?driver=jsonfile&opt.max-size=10m' \
      IMAGE ID
  logplug logs ID

With containerd 2.2 or later, binary-v2: a container whose log cannot be opened is
not started then. With binary: it is started, and its first write fails; logplug ls
shows it, and why with --output json, if the driver or one of its options is the reason.

Parameters of the URI are driver, name, opt.NAME and opt-file (a file with options, for
secrets: containerd shows URIs to everybody), label.NAME, socket, and takeover: for how
long a container waits for a logplug serve that has gone away (1m). If there is no
logplug serve, logplug works alone, which takes more memory; state-dir and
plugin-dir are for that. Containers of other namespaces than "default" have the id
NAMESPACE--ID.

Logplug-containerd is a small program that hands the output over to logplug serve.
Logplug itself does the same with the additional parameter "containerd".`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args)%2 != 0 {
				return &usageError{errors.New("want names and values in turn, as containerd gives them")}
			}
			return nil
		},
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(_ *cobra.Command, args []string) error {
			if alone {
				return a.containerdAlone(args)
			}
			return exit(a.relay(args))
		},
	}
	cmd.Flags().BoolVar(&alone, "alone", false, "do not look for logplug serve")
	return cmd
}

// relay becomes the small program, if it is installed, or does the same.
func (a *app) relay(settings []string) (code int) {
	self, err := os.Executable()
	if err != nil {
		a.notices.Printf("%v", err)
		return codeFailure
	}
	small := filepath.Join(filepath.Dir(self), relayName)
	if _, err := os.Stat(small); err == nil {
		err = syscall.Exec(small, append([]string{small}, settings...), os.Environ())
		a.notices.Printf("run %s: %v", small, err)
	}
	return relay.Main(settings, self)
}

// containerdAlone logs a container with a host of its own.
func (a *app) containerdAlone(pairs []string) error {
	container := containerd.Container{ID: os.Getenv("CONTAINER_ID"), Namespace: os.Getenv("CONTAINER_NAMESPACE")}
	if container.ID == "" {
		return &usageError{errors.New("containerd runs this for a container; see logplug containerd --help")}
	}
	settings, err := containerd.ParseSettings(pairs)
	if err != nil {
		return err
	}
	if err := a.adopt(&settings); err != nil {
		return err
	}
	store, err := a.store()
	if err != nil {
		return err
	}
	job, err := containerJob(store, container, pairs)
	if err != nil {
		return err
	}
	cfg := containerd.Config{Store: store, Job: job, PID: os.Getpid(), Fresh: true, CloseTimeout: aloneClose}
	if err := inherit(&cfg); err != nil {
		return err
	}
	return a.logContainer(cfg)
}

// adopt makes up for what containerd does not hand on of the environment.
func (a *app) adopt(s *containerd.Settings) error {
	if a.stateDir == "" {
		a.stateDir = s.StateDir
	}
	if len(a.pluginDirs) == 0 && s.PluginDir != "" {
		a.pluginDirs = []string{s.PluginDir}
	}
	if os.Getenv("HOME") == "" {
		if u, err := user.LookupId(strconv.Itoa(os.Geteuid())); err == nil {
			return os.Setenv("HOME", u.HomeDir)
		}
	}
	return nil
}

// inherit takes the descriptors that the process was started with. Drivers get none of
// them.
func inherit(cfg *containerd.Config) (err error) {
	if os.Getenv(relay.EnvReady) == "" {
		syscall.CloseOnExec(relay.FDReady)
	}
	for i, fd := range [2]int{relay.FDStdout, relay.FDStderr} {
		if cfg.Pipes[i], err = containerd.OpenPipe(fd, containerd.Sources[i]); err != nil {
			return err
		}
	}
	if text := os.Getenv(relay.EnvCarry); text != "" {
		fd, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("%s: %w", relay.EnvCarry, err)
		}
		// One of another version: what it holds is lost, the container goes on.
		cfg.Carry, cfg.Lacks = carry.Open(fd)
	}
	return nil
}

func (a *app) logContainer(cfg containerd.Config) error {
	// Until the end: containerd sends SIGTERM while the driver is still being waited for.
	begun := make(chan struct{})
	ctx, release := afterSIGTERM(aloneGrace, begun)
	defer release()
	dir := filepath.Join(spoolsDir(cfg.Store), cfg.Job.ID)
	h, stop, err := a.openAloneHost(&cfg, dir)
	if err != nil {
		return refused(&cfg, err)
	}
	cfg.Host = h
	session, err := containerd.Open(context.Background(), cfg)
	if err != nil {
		stop()
		return err
	}
	if os.Getenv(relay.EnvReady) == "" {
		if err := relay.Announce(); err != nil {
			session.Abandon()
			stop()
			return fmt.Errorf("tell containerd that logging is ready: %w", err)
		}
	}
	close(begun)
	runToEnd(ctx, session)
	err = session.Close(true)
	stop()
	_, _ = removeSpool(dir) // the next serve does that too
	return err
}

// openAloneHost opens a host for one container.
func (a *app) openAloneHost(cfg *containerd.Config, spool string) (h *host.Host, stop func(), err error) {
	err = awaitSpool(cfg.ClaimLimit(), func() (err error) {
		h, stop, err = a.openHost(hclog.Warn, host.Config{
			Timeouts:    host.Timeouts{Log: math.MaxInt64, Close: aloneClose},
			Spool:       host.SpoolConfig{Dir: spool, HostBytes: aloneSpool},
			DeadLetters: cfg.Store.DeadLetters(), NoWatch: true,
		})
		return err
	})
	return h, stop, err
}

// runToEnd logs the container until ctx ends at the latest, also while its driver takes
// nothing and the spool is full.
func runToEnd(ctx context.Context, session *containerd.Session) {
	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(interrupted)
		limit, cancel := context.WithTimeout(context.Background(), aloneLate)
		defer cancel()
		session.Interrupt(limit)
	})
	session.Run(ctx)
	if !stop() {
		<-interrupted
	}
}

// refused notes why a container is not logged: containerd shows nobody what its
// logger says.
func refused(cfg *containerd.Config, why error) error {
	claim, err := cfg.Store.Claim(cfg.Job)
	if err != nil {
		return errors.Join(why, err)
	}
	return errors.Join(why, claim.Finish(codeFailure, "not logged: "+why.Error(), ""))
}

// afterSIGTERM returns a context that ends a while after the signal and the beginning:
// who has not begun has not read anything yet.
func afterSIGTERM(grace time.Duration, begun <-chan struct{}) (ctx context.Context, release func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(signals, syscall.SIGTERM)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-signals:
		case <-done:
			return
		}
		select {
		case <-begun:
		case <-done:
			return
		}
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel(&signalError{syscall.SIGTERM})
		case <-done:
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		<-ended
		cancel(nil)
	}
}

// containerCommands are those for containers.
func (a *app) containerCommands() []*cobra.Command {
	return []*cobra.Command{a.serveCommand(), a.containerdCommand()}
}

// invoked returns the arguments that logplug has if containerd runs it under its own
// name.
func invoked(args []string) []string {
	if settings, ok := containerd.Invoked(args, os.Environ()); ok {
		return append([]string{"containerd", "--"}, settings...)
	}
	return args
}
