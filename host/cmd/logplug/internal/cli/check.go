package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/logplug/logplug/sdk/drivertest"
	"github.com/logplug/logplug/shared/wire"
	"github.com/spf13/cobra"
)

// checkOptions are the flags of logplug check.
type checkOptions struct {
	opts, optFiles    []string
	rules, skip, sets []string
	timeout           time.Duration
	list              bool
	output            *format
}

func (a *app) checkCommand() *cobra.Command {
	var o checkOptions
	cmd := &cobra.Command{
		Use:   "check [flags] BINARY",
		Short: "Check a driver against the rules of the conformance kit",
		Long: `Run a driver's binary, whatever it is written in, and check it against the rules
that hosts rely on. BINARY is a path, or the name of a driver in a plugin directory.

In values of options, "%{id}", "%{path}" and "%{dir}" are replaced by an id, a file
and a directory, unique for each log. Rules about reading are checked once more
with each --set: one under which files rotate is a good idea.`,
		Example: `  logplug check ./logplug-driver-mine --opt address=localhost:9000
  logplug check jsonfile --set rotate:max-size=1k --set rotate:max-file=1000`,
		Args: func(cmd *cobra.Command, args []string) error {
			if o.list {
				return wantArgs(0, 0, "no arguments with --list")(cmd, args)
			}
			return wantArgs(1, 1, "the binary of a driver")(cmd, args)
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if o.list {
				return a.listRules(*o.output)
			}
			ctx, stop := interruptible()
			defer stop()
			return interruption(ctx, a.check(ctx, args[0], &o))
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&o.opts, "opt", nil, "option of the driver, `NAME=VALUE` (repeatable)")
	f.StringArrayVar(&o.optFiles, "opt-file", nil, "read options, NAME=VALUE a line, from `FILE`: for secrets (repeatable)")
	f.StringArrayVar(&o.rules, "rule", nil, "check only rules that fit `PATTERN`, as tail/* (repeatable)")
	f.StringArrayVar(&o.skip, "skip", nil, "do not check rules that fit PATTERN, for a reason, `PATTERN=REASON` (repeatable)")
	f.StringArrayVar(&o.sets, "set", nil, "further options to check reading with, `SET:NAME=VALUE` (repeatable)")
	f.DurationVar(&o.timeout, "timeout", 2*time.Minute, "for the check of one rule")
	f.BoolVar(&o.list, "list", false, "list the rules, and check nothing")
	o.output = addFormat(cmd)
	mustComplete(cmd, "rule", completeRules)
	mustComplete(cmd, "skip", completeRules)
	for _, name := range []string{"opt", "set", "timeout"} {
		mustComplete(cmd, name, cobra.NoFileCompletions)
	}
	return cmd
}

// ruleResult is what logplug check shows of a rule.
type ruleResult struct {
	Rule    string            `json:"rule"`
	Text    string            `json:"text"`
	Status  drivertest.Status `json:"status,omitempty"`
	Error   string            `json:"error,omitempty"`
	Reason  string            `json:"reason,omitempty"`
	Log     string            `json:"log,omitempty"`
	Seconds float64           `json:"seconds,omitempty"`
}

func (a *app) check(ctx context.Context, binary string, o *checkOptions) error {
	kit, err := o.kit()
	if err != nil {
		return err
	}
	kit.Env = a.driverEnv
	if *o.output == formatText {
		kit.Report = func(r drivertest.Result) { a.printResult(&r) }
	}
	path, err := a.findBinary(binary)
	if err != nil {
		return err
	}
	results, err := drivertest.Check(ctx, path, kit)
	if err != nil {
		return err
	}
	return a.summarize(results, *o.output)
}

// kit returns the options of the conformance kit.
func (o *checkOptions) kit() (kit drivertest.Options, err error) {
	kit.Only, kit.Timeout = o.rules, o.timeout
	if kit.Config, err = parseOptions(o.opts, o.optFiles); err != nil {
		return kit, err
	}
	if kit.Sets, err = parseSets(o.sets); err != nil {
		return kit, err
	}
	kit.Skip = make(map[string]string)
	for _, arg := range o.skip {
		pattern, reason, ok := strings.Cut(arg, "=")
		if !ok || reason == "" {
			return kit, &usageError{fmt.Errorf("--skip %q: want PATTERN=REASON", arg)}
		}
		kit.Skip[pattern] = reason
	}
	return kit, nil
}

// parseSets gathers options by the name of their set, in the order of the names.
func parseSets(args []string) (sets []drivertest.OptionSet, err error) {
	index := make(map[string]int)
	for i, arg := range args {
		set, option, _ := strings.Cut(arg, ":")
		name, value, ok := strings.Cut(option, "=")
		if !ok || set == "" || name == "" {
			return nil, &usageError{fmt.Errorf("--set number %d: want SET:NAME=VALUE", i+1)}
		}
		if _, known := index[set]; !known {
			index[set] = len(sets)
			sets = append(sets, drivertest.OptionSet{Name: set, Config: make(map[string]string)})
		}
		sets[index[set]].Config[name] = value
	}
	return sets, nil
}

// findBinary returns the path of a binary, which may be given by the driver's name.
func (a *app) findBinary(binary string) (string, error) {
	_, err := os.Stat(binary)
	if err == nil || !wire.ValidName(binary) {
		return binary, err
	}
	dirs, err := a.findPluginDirs()
	if err != nil {
		return "", err
	}
	for _, d := range dirs {
		path := filepath.Join(d, wire.DriverPrefix+binary)
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is neither a file nor a driver in %s", binary, strings.Join(dirs, ", "))
}

var statusColors = map[drivertest.Status]color{
	drivertest.Pass: green, drivertest.Fail: red, drivertest.Skip: yellow,
}

// printResult prints one result as soon as it is known. An output that is gone is
// noticed by summarize.
func (a *app) printResult(r *drivertest.Result) {
	lines := strings.Split(r.String(), "\n")
	for i := range lines {
		lines[i] = printable(lines[i])
	}
	text := strings.Join(lines, "\n")
	if status := string(r.Status); colored(a.stdout) && strings.HasPrefix(text, status) {
		text = "\x1b[" + string(statusColors[r.Status]) + "m" + status + "\x1b[0m" + text[len(status):]
	}
	_, _ = a.stdout.WriteString(text + "\n")
}

func (a *app) summarize(results []drivertest.Result, out format) (err error) {
	count := make(map[drivertest.Status]int)
	list := make([]ruleResult, len(results))
	for i := range results {
		count[results[i].Status]++
		list[i] = resultOf(&results[i])
	}
	if out == formatJSON {
		err = writeJSON(a.stdout, list)
	} else {
		_, err = fmt.Fprintf(a.stdout, "%d passed, %d failed, %d skipped\n",
			count[drivertest.Pass], count[drivertest.Fail], count[drivertest.Skip])
		err = quietPipe(err)
	}
	if count[drivertest.Fail] > 0 {
		return exit(codeFailure)
	}
	return err
}

func resultOf(r *drivertest.Result) ruleResult {
	res := ruleResult{
		Rule: r.Name(), Text: r.Rule.Text, Status: r.Status, Reason: r.Reason, Log: r.Log, Seconds: r.Duration.Seconds(),
	}
	if r.Err != nil {
		res.Error = r.Err.Error()
	}
	return res
}

func (a *app) listRules(out format) error {
	rules := drivertest.Rules()
	if out == formatJSON {
		list := make([]ruleResult, len(rules))
		for i, r := range rules {
			list[i] = ruleResult{Rule: r.ID, Text: r.Text}
		}
		return writeJSON(a.stdout, list)
	}
	t := a.newTable("RULE", "TEXT")
	for _, r := range rules {
		t.add(plain(r.ID, r.Text)...)
	}
	_, err := a.stdout.WriteString(t.String())
	return quietPipe(err)
}
