package cli

import (
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/host/cmd/logplug/internal/jobs"
	"github.com/logplug/logplug/shared/logdriver"
	"github.com/spf13/cobra"
)

// runName is the name of the run command, whose exit codes are its own.
const runName = "run"

// defaultDriver is the driver that is used where none is named, and cacheDriver
// keeps what is logged to drivers that cannot read.
const (
	defaultDriver = "local"
	cacheDriver   = "local"
)

// daemonName is what tags of messages call the program that logs.
const daemonName = "logplug"

// runOptions are the flags of logplug run.
type runOptions struct {
	driver             string
	opts, optFiles     []string
	id, name           string
	labels             []string
	env, envFiles      []string
	tee, quiet         bool
	closeTimeout, wait time.Duration
	block              time.Duration
	spoolDir           string
	spoolSync          string
	driverMemory       string
	stats              format // empty: none
}

func (a *app) runCommand() *cobra.Command {
	var o runOptions
	cmd := &cobra.Command{
		Use:   runName + " [flags] [--] COMMAND [ARG...]",
		Short: "Run a command with its output going to a log driver",
		Long: `Run a command with its standard output and error going to a log driver. Its
standard input is logplug's own. Signals that logplug gets are handed on.

The exit code is the command's (128+N after signal N), 126 if it cannot be
executed, 127 if it is not found, and 125 if logplug itself fails, also when the
command succeeded and a part of its output could not be delivered.

The id is what logplug logs reads the output by. The id of a job that has ended
can be used again: its log is added to. What is recorded of a job, options
included, is readable by its owner only.

What goes to a driver that cannot read is kept in a cache as well, where logplug
logs finds it. The options cache-... bound it; --opt cache-disabled=true turns it
off.

While the driver takes nothing, as with a full disk, the command waits when it
writes; --block-timeout bounds that, at the price of lost messages. Processes
that the command leaves behind are logged for --output-wait after its end.`,
		Example: `  logplug run --id build -- make -j8
  logplug run --driver jsonfile --opt max-size=10m --opt max-file=3 --tee -- ./server`,
		Args:              wantArgs(1, math.MaxInt, "a command"),
		ValidArgsFunction: completeCommand,
		RunE: func(_ *cobra.Command, args []string) error {
			return a.run(o, args)
		},
	}
	f := cmd.Flags()
	f.SetInterspersed(false)
	f.StringVarP(&o.driver, "driver", "d", defaultDriver, "`NAME` of the driver")
	f.StringArrayVar(&o.opts, "opt", nil, "option of the driver, `NAME=VALUE` (repeatable)")
	f.StringArrayVar(&o.optFiles, "opt-file", nil, "read options, NAME=VALUE a line, from `FILE`: for secrets (repeatable)")
	f.StringVar(&o.id, "id", "", "`ID` of the job (default: a random one, shown on stderr)")
	f.StringVar(&o.name, "name", "", "`NAME` of the job (default: its id)")
	f.StringArrayVarP(&o.labels, "label", "l", nil, "label of the job, `NAME=VALUE` (repeatable)")
	f.StringArrayVarP(&o.env, "env", "e", nil, "variable for the command and the driver's env options, `NAME[=VALUE]` (repeatable)")
	f.StringArrayVar(&o.envFiles, "env-file", nil, "read variables, one a line, from `FILE` (repeatable)")
	f.BoolVar(&o.tee, "tee", false, "pass the output on to logplug's own as well")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "do not show the id")
	f.DurationVar(&o.closeTimeout, "close-timeout", 10*time.Second, "at the end, how long the driver may make no progress, and then take to finish")
	f.DurationVar(&o.wait, "output-wait", 10*time.Second, "how long to log processes that hold the output open after the command's end")
	f.DurationVar(&o.block, "block-timeout", 0, "give a message up after the driver took nothing for so long (0: never)")
	f.StringVar(&o.spoolDir, "spool-dir", "", "keep what the driver has not taken in `DIR`, for the next logplug run with it")
	f.StringVar(&o.spoolSync, "spool-sync", "", "when to make --spool-dir survive a loss of power, `WHEN`: none, interval (every second) or always (before the command goes on)")
	f.StringVar(&o.driverMemory, "driver-memory", "", "bound the memory of the driver's process to `SIZE`, such as 256m")
	f.Var(&o.stats, "stats", "at the end, show on stderr what became of the messages")
	f.Lookup("stats").NoOptDefVal = string(formatText)
	mustComplete(cmd, "stats", cobra.FixedCompletions([]string{string(formatText), string(formatJSON)}, cobra.ShellCompDirectiveNoFileComp))
	mustComplete(cmd, "spool-dir", completeDirs)
	mustComplete(cmd, "spool-sync", cobra.FixedCompletions(syncPolicies(), cobra.ShellCompDirectiveNoFileComp))
	mustComplete(cmd, "driver", a.completeDrivers)
	mustComplete(cmd, "opt", a.completeOptions(&o.driver))
	for _, name := range []string{"id", "name", "label", "close-timeout", "output-wait", "block-timeout", "driver-memory"} {
		mustComplete(cmd, name, cobra.NoFileCompletions)
	}
	mustComplete(cmd, "env", completeEnvironment)
	return cmd
}

// check refuses what has no sense.
func (o *runOptions) check() error {
	switch {
	case o.closeTimeout <= 0:
		return &usageError{errors.New("--close-timeout must be positive")}
	case o.wait < 0:
		return &usageError{errors.New("--output-wait must not be negative")}
	case o.block < 0:
		return &usageError{errors.New("--block-timeout must not be negative")}
	case o.spoolSync != "" && o.spoolDir == "":
		return &usageError{errors.New("--spool-sync is for use with --spool-dir")}
	case o.spoolSync != "" && !slices.Contains(syncPolicies(), o.spoolSync):
		return &usageError{fmt.Errorf("--spool-sync %q: want %s", o.spoolSync, strings.Join(syncPolicies(), ", "))}
	}
	_, err := o.sandbox()
	return err
}

func syncPolicies() []string {
	return []string{string(host.SyncNone), string(host.SyncInterval), string(host.SyncAlways)}
}

// sandbox confines drivers as far as the flags ask for it.
func (o *runOptions) sandbox() (map[string]host.Sandbox, error) {
	if o.driverMemory == "" {
		return nil, nil
	}
	limit, err := units.RAMInBytes(o.driverMemory)
	if err != nil || limit <= 0 {
		return nil, &usageError{fmt.Errorf("--driver-memory %q: want a size, such as 256m", o.driverMemory)}
	}
	return map[string]host.Sandbox{host.AnyDriver: {MemoryLimit: limit}}, nil
}

// hostConfig configures the host of a job whose state is in store.
func (o *runOptions) hostConfig(store *jobs.Store) (host.Config, error) {
	sandbox, err := o.sandbox()
	return host.Config{
		Timeouts:    host.Timeouts{Log: o.blockTimeout(), Close: o.closeTimeout},
		Spool:       host.SpoolConfig{Dir: o.spoolDir, Sync: host.SyncPolicy(o.spoolSync)},
		Sandbox:     sandbox,
		DeadLetters: store.DeadLetters(),
	}, err
}

// blockTimeout is how long a message may wait for the driver.
func (o *runOptions) blockTimeout() time.Duration {
	if o.block == 0 {
		return math.MaxInt64
	}
	return o.block
}

// job describes the job to be, and env is what its command has in addition to
// logplug's environment.
func (o *runOptions) job(store *jobs.Store, command []string) (j jobs.Job, env []string, err error) {
	config, err := parseOptions(o.opts, o.optFiles)
	if err != nil {
		return j, nil, err
	}
	labels, err := parseLabels(o.labels)
	if err != nil {
		return j, nil, err
	}
	if env, err = parseEnv(o.env, o.envFiles, os.LookupEnv); err != nil {
		return j, nil, err
	}
	dir, err := os.Getwd()
	if err != nil {
		return j, nil, err
	}
	id := o.id
	if id == "" {
		id = jobs.NewID()
	} else if err := jobs.CheckID(id); err != nil {
		return j, nil, &usageError{err}
	}
	name := o.name
	if name == "" {
		name = id
	}
	return jobs.Job{
		ID: id, Driver: o.driver, Command: command, Dir: dir,
		Info: logdriver.Info{
			Config: config, ContainerID: id, ContainerName: name,
			ContainerEntrypoint: command[0], ContainerArgs: command[1:], ContainerCreated: time.Now(),
			ContainerEnv: env, ContainerLabels: labels,
			LogPath: store.LogPath(id), DaemonName: daemonName,
		},
	}, env, nil
}
