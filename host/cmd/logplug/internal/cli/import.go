package cli

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/host/cmd/logplug/internal/importer"
	"github.com/logplug/logplug/host/cmd/logplug/internal/jobs"
	"github.com/logplug/logplug/shared/logdriver"
	"github.com/spf13/cobra"
)

// importOptions are the flags of logplug import.
type importOptions struct {
	format, driver, id, name string
	opts, optFiles, labels   []string
	closeTimeout             time.Duration
}

func (a *app) importCommand() *cobra.Command {
	var o importOptions
	cmd := &cobra.Command{
		Use:   "import [flags] PATH...",
		Short: "Import log files of container engines",
		Long: `Import the log file of a container, with those that were rotated away from it and
compressed with gzip, into a driver. Logplug logs reads them then. The formats are those
of Docker's json-file and local drivers, and of the container runtime interface
(Kubernetes); times, streams, attributes and long lines are kept. Several PATHs are
imported one behind the other, into one log.

An import that was interrupted goes on when it is run again with the same id, and
one that was finished adds what was written since, of several PATHs to the last one.
Nothing is imported twice with drivers that remember how far they got (jsonfile, local,
nats, journald); others may get again what they acknowledged last. After logplug rm, an
import with that id begins anew.

Records that are damaged are skipped; the exit code is 1 then.`,
		Example: `  logplug import --id web /var/lib/docker/containers/ID/ID-json.log
  logplug import --driver jsonfile --id api /var/log/pods/NS_POD_UID/api/0.log`,
		Args:              wantArgs(1, math.MaxInt, "the path of a log file"),
		ValidArgsFunction: completeFiles,
		RunE:              func(_ *cobra.Command, args []string) error { return a.importLogs(&o, args) },
	}
	f := cmd.Flags()
	f.StringVar(&o.format, "format", "", "`FORMAT` of the files: "+strings.Join(importer.Formats(), ", ")+" (default: the one that fits)")
	f.StringVarP(&o.driver, "driver", "d", defaultDriver, "`NAME` of the driver")
	f.StringArrayVar(&o.opts, "opt", nil, "option of the driver, `NAME=VALUE` (repeatable)")
	f.StringArrayVar(&o.optFiles, "opt-file", nil, "read options, NAME=VALUE a line, from `FILE`: for secrets (repeatable)")
	f.StringVar(&o.id, "id", "", "`ID` of the log (default: made of the file's name)")
	f.StringVar(&o.name, "name", "", "`NAME` of the log (default: its id)")
	f.StringArrayVarP(&o.labels, "label", "l", nil, "label, `NAME=VALUE` (repeatable)")
	f.DurationVar(&o.closeTimeout, "close-timeout", 10*time.Second, "at the end, how long the driver may take")
	mustComplete(cmd, "format", cobra.FixedCompletions(importer.Formats(), cobra.ShellCompDirectiveNoFileComp))
	mustComplete(cmd, "driver", a.completeDrivers)
	mustComplete(cmd, "opt", a.completeOptions(&o.driver))
	for _, name := range []string{"id", "name", "label", "close-timeout"} {
		mustComplete(cmd, name, cobra.NoFileCompletions)
	}
	return cmd
}

// defaultImportID makes an id of the name of a file: that of the container where a
// container engine has put it there.
func defaultImportID(path string) string {
	base := filepath.Base(path)
	base = strings.TrimSuffix(strings.TrimSuffix(base, ".log"), "-json")
	if base == "container" || base == "0" { // Docker's local driver, and Kubernetes
		if abs, err := filepath.Abs(path); err == nil {
			base = filepath.Base(strings.TrimSuffix(filepath.Dir(abs), "/local-logs"))
		}
	}
	return base
}

// job describes the job that the import is.
func (o *importOptions) job(store *jobs.Store, paths []string) (j jobs.Job, err error) {
	config, err := parseOptions(o.opts, o.optFiles)
	if err != nil {
		return j, err
	}
	if config["mode"] == "non-blocking" {
		return j, &usageError{errors.New("--opt mode=non-blocking: an import that drops messages is of no use")}
	}
	labels, err := parseLabels(o.labels)
	if err != nil {
		return j, err
	}
	if o.id == "" {
		o.id = defaultImportID(paths[0])
	}
	if err := jobs.CheckID(o.id); err != nil {
		return j, &usageError{fmt.Errorf("--id: %w", err)}
	}
	if o.name == "" {
		o.name = o.id
	}
	dir, err := os.Getwd()
	if err != nil {
		return j, err
	}
	return jobs.Job{
		ID: o.id, Driver: o.driver, Command: append([]string{"import"}, paths...), Dir: dir,
		Info: logdriver.Info{
			Config: config, ContainerID: o.id, ContainerName: o.name, ContainerCreated: time.Now(),
			ContainerLabels: labels, LogPath: store.LogPath(o.id), DaemonName: daemonName,
		},
	}, nil
}

func (a *app) importLogs(o *importOptions, paths []string) error {
	if o.format != "" && !slices.Contains(importer.Formats(), o.format) {
		return &usageError{fmt.Errorf("--format %q: want %s", o.format, strings.Join(importer.Formats(), ", "))}
	}
	store, err := a.store()
	if err != nil {
		return err
	}
	job, err := o.job(store, paths)
	if err != nil {
		return err
	}
	files, err := importer.Find(paths)
	if err != nil {
		return err
	}
	defer importer.Close(files)
	ctx, stop := interruptible()
	defer stop()
	claim, err := store.Claim(job)
	if err != nil {
		return err
	}
	// It goes when the log goes: what is imported after that is imported from the start.
	cfg := importer.Config{Files: files, StatePath: filepath.Join(store.LogDir(job.ID), "import.json")}
	if cfg.State, err = o.state(&cfg); err != nil {
		return errors.Join(err, claim.Abandon())
	}
	begun, err := a.importTo(ctx, store, &job, cfg, claim, o.closeTimeout)
	if !begun {
		return errors.Join(interruption(ctx, err), claim.Abandon())
	}
	return a.imported(ctx, claim, cfg.State, err)
}

// state returns where to go on. It is called with the claim: nobody else changes it.
func (o *importOptions) state(cfg *importer.Config) (*importer.State, error) {
	st, err := importer.LoadState(cfg.StatePath)
	if err != nil {
		return nil, err
	}
	switch {
	case o.format != "":
		st.Format = importer.Format(o.format)
	case st.Format == "":
		st.Format, err = importer.Detect(cfg.Files)
	}
	return st, err
}

// importTo opens the log and imports. It returns whether the log was opened.
func (a *app) importTo(ctx context.Context, store *jobs.Store, job *jobs.Job, cfg importer.Config, claim *jobs.Claim, limit time.Duration) (begun bool, err error) {
	h, stop, err := a.openHost(hclog.Warn, host.Config{
		Timeouts: host.Timeouts{Log: math.MaxInt64, Close: limit}, DeadLetters: store.DeadLetters(),
	})
	if err != nil {
		return false, err
	}
	defer stop()
	info := job.Info.Clone()
	info.Stream = cfg.State.Stream
	l, err := h.Open(ctx, job.Driver, info)
	if err != nil {
		return false, err
	}
	a.hostLog.release()
	cache := ""
	if c := l.Stats().Cache; c != nil {
		cache = c.Driver
	}
	if err := claim.Started(os.Getpid(), cache); err != nil {
		a.notices.Printf("%v", err)
	}
	// Log and Flush wait for a driver that takes nothing. Closing makes them return; what
	// was not delivered is imported again.
	impatient, relax := afterwards(ctx, limit)
	unblock := context.AfterFunc(impatient, func() { _ = l.Shutdown(impatient) })
	defer relax()
	bar := a.newProgress()
	cfg.Logger, cfg.OnProgress = l, bar.show
	cfg.OnDamage = func(err error) { bar.clear(); a.notices.Printf("%v", err) }
	err = importer.New(cfg).Run(ctx)
	bar.finish()
	if unblock() {
		err = errors.Join(err, l.Close())
	}
	if st := l.Stats(); st.Failed.Messages > 0 {
		err = errors.Join(err, fmt.Errorf("driver %s rejected %d messages, the last one because: %s; see them with: logplug dead-letters",
			st.Driver, st.Failed.Messages, st.LastFailure))
	}
	return true, err
}

// afterwards returns a context that ends d after ctx.
func afterwards(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	after, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel()
		case <-after.Done():
		}
	})
	return after, func() {
		stop()
		cancel()
	}
}

// imported notes the end, and tells what was skipped.
func (a *app) imported(ctx context.Context, claim *jobs.Claim, st *importer.State, err error) error {
	code, trouble := 0, ""
	if st.Damage.Places > 0 || st.Rejected > 0 {
		code = codeFailure
		trouble = fmt.Sprintf("%d bytes at %d places were damaged, and %d messages exceed a limit", st.Damage.Bytes, st.Damage.Places, st.Rejected)
	}
	if err != nil {
		code, trouble = codeFailure, err.Error()
	}
	if ferr := claim.Finish(code, oneLine(trouble), ""); ferr != nil {
		a.notices.Printf("%v", ferr)
	}
	switch {
	case err != nil:
		a.notices.Printf("the import is not complete; run it again to go on")
		return interruption(ctx, err)
	case code != 0:
		a.notices.Printf("imported, but %s", trouble)
	}
	return exit(code)
}
