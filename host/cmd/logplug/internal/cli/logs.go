package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/logplug/logplug/host/cmd/logplug/internal/jobs"
	"github.com/logplug/logplug/host/cmd/logplug/internal/render"
	"github.com/logplug/logplug/host/cmd/logplug/internal/when"
	"github.com/logplug/logplug/shared/logdriver"
	"github.com/spf13/cobra"
)

// logsOptions are the flags of logplug logs.
type logsOptions struct {
	follow              bool
	tail, since, until  string
	timestamps, details bool
	output              *format
}

func (a *app) logsCommand() *cobra.Command {
	var o logsOptions
	cmd := &cobra.Command{
		Use:   "logs [flags] ID",
		Short: "Read the log of a job",
		Long: `Read the log of a job: what it wrote to its standard output goes to standard
output, the rest to standard error, byte for byte. The job is named by its id, the
beginning of one, or its name.

Times are RFC 3339 (2006-01-02T15:04:05Z; parts from the end and the zone may be
left out), seconds since 1970 (1136073845.5), or durations before now (10m).`,
		Example: `  logplug logs -f --tail 10 build
  logplug logs --since 10m --timestamps build`,
		Args:              wantArgs(1, 1, "the id of a job"),
		ValidArgsFunction: a.completeJobs,
		RunE: func(_ *cobra.Command, args []string) error {
			return a.logs(o, args[0])
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&o.follow, "follow", "f", false, "go on while the job runs")
	f.StringVarP(&o.tail, "tail", "n", "all", "begin with the last `N` messages")
	f.StringVar(&o.since, "since", "", "begin with the first message at or after `TIME`")
	f.StringVar(&o.until, "until", "", "end before the first message after `TIME`")
	f.BoolVarP(&o.timestamps, "timestamps", "t", false, "show the time of each line, in UTC")
	f.BoolVar(&o.details, "details", false, "show the attributes of each line")
	o.output = addFormat(cmd)
	for _, name := range []string{"tail", "since", "until"} {
		mustComplete(cmd, name, cobra.NoFileCompletions)
	}
	return cmd
}

// config returns what to read.
func (o *logsOptions) config(now time.Time) (cfg logdriver.ReadConfig, err error) {
	cfg.Follow = o.follow
	if cfg.Tail, err = parseTail(o.tail); err != nil {
		return cfg, err
	}
	if cfg.Since, err = parseTime("since", o.since, now); err != nil {
		return cfg, err
	}
	cfg.Until, err = parseTime("until", o.until, now)
	return cfg, err
}

func parseTail(text string) (int, error) {
	if text == "all" {
		return -1, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < -1 {
		return 0, &usageError{fmt.Errorf("--tail %q: want a number of messages, or all", text)}
	}
	return n, nil
}

func parseTime(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := when.Parse(text, now)
	if err != nil {
		return t, &usageError{fmt.Errorf("--%s: %w", flag, err)}
	}
	return t, nil
}

func (o *logsOptions) printer(a *app) render.Printer {
	if *o.output == formatJSON {
		return render.NewJSON(a.stdout)
	}
	return render.NewText(a.stdout, a.stderr, render.TextOptions{Timestamps: o.timestamps, Details: o.details})
}

func (a *app) logs(o logsOptions, ref string) error {
	cfg, err := o.config(time.Now())
	if err != nil {
		return err
	}
	store, err := a.store()
	if err != nil {
		return err
	}
	job, err := store.Find(ref)
	if err != nil {
		return err
	}
	ctx, stop := interruptible()
	defer stop()
	if err := a.enter(job); err != nil {
		return err
	}
	r := &reader{app: a, store: store, job: job, cfg: cfg, printer: o.printer(a)}
	err = r.read(ctx)
	if errors.Is(err, logdriver.ErrReadLogsNotSupported) {
		return fmt.Errorf("the log of job %s cannot be read back: driver %s only writes, and no cache was kept; look where it writes to", job.ID, job.Driver)
	}
	return interruption(ctx, err)
}

// enter goes to the directory in which the job was run, which paths among its
// options are relative to.
func (a *app) enter(job *jobs.Job) (err error) {
	if a.pluginDirs, err = a.findPluginDirs(); err != nil {
		return err
	}
	if a.pins != "" {
		if a.pins, err = filepath.Abs(a.pins); err != nil {
			return err
		}
	}
	// Most jobs have no such options, and do not need the directory to be there.
	_ = os.Chdir(job.Dir)
	return nil
}
