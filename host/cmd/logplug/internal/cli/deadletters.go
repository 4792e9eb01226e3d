package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"
	"unicode/utf8"

	"github.com/docker/go-units"
	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/host/cmd/logplug/internal/letters"
	"github.com/spf13/cobra"
)

// lettersOptions are the flags of logplug dead-letters.
type lettersOptions struct {
	file          string
	driver, job   string
	resend, purge bool
	timeout       time.Duration
	output        *format
}

func (a *app) deadLettersCommand() *cobra.Command {
	var o lettersOptions
	cmd := &cobra.Command{
		Use:   "dead-letters",
		Short: "List the messages that a driver will never take, send them again or remove them",
		Long: `List the messages that were set aside because their driver rejected them, or because
its processes ended on them again and again.

With --resend, each is sent again to its driver with the options of its job, which
must have ended; once the driver has it, it is removed from the file. What the
driver rejects again stays. With --purge, messages are removed unsent.`,
		Example: `  logplug dead-letters
  logplug dead-letters --resend --job build
  logplug dead-letters --purge --driver jsonfile`,
		Args:              wantArgs(0, 0, "no arguments"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(*cobra.Command, []string) error {
			return a.deadLetters(&o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.file, "file", "", "use `FILE`, that of a spool directory for one (default: that of the state directory)")
	f.StringVarP(&o.driver, "driver", "d", "", "only messages of the driver `NAME`")
	f.StringVar(&o.job, "job", "", "only messages of the job with this `ID` or name")
	f.BoolVar(&o.resend, "resend", false, "send the messages again, and remove those that were taken")
	f.BoolVar(&o.purge, "purge", false, "remove the messages")
	f.DurationVar(&o.timeout, "timeout", 10*time.Second, "with --resend, how long a driver may take for a message")
	o.output = addFormat(cmd)
	cmd.MarkFlagsMutuallyExclusive("resend", "purge")
	mustComplete(cmd, "file", completeFiles)
	mustComplete(cmd, "driver", a.completeDrivers)
	mustComplete(cmd, "job", a.completeJobs)
	mustComplete(cmd, "timeout", cobra.NoFileCompletions)
	return cmd
}

func (a *app) deadLetters(o *lettersOptions) error {
	if o.timeout <= 0 {
		return &usageError{errors.New("--timeout must be positive")}
	}
	file, err := a.lettersFile(o.file)
	if err != nil {
		return err
	}
	switch {
	case o.resend:
		return a.resend(file, o)
	case o.purge:
		return a.purge(file, o)
	default:
		return a.listLetters(file, o)
	}
}

// lettersFile returns the file of the flag, or that of the state directory.
func (a *app) lettersFile(path string) (*letters.File, error) {
	if path == "" {
		store, err := a.store()
		if err != nil {
			return nil, err
		}
		return letters.NewFile(store.DeadLetters()), nil
	}
	abs, err := filepath.Abs(path) // the directory changes with jobs
	if err != nil {
		return nil, err
	}
	return letters.NewFile(abs), nil
}

// wants tells whether the flags select d.
func (o *lettersOptions) wants(d *host.DeadLetter) bool {
	return (o.driver == "" || o.driver == d.Driver) &&
		(o.job == "" || o.job == d.Info.ContainerID || o.job == d.Info.Name())
}

// wantsAll tells whether the flags select everything, lines that are no dead letter
// too.
func (o *lettersOptions) wantsAll() bool { return o.driver == "" && o.job == "" }

// letterInfo is what logplug dead-letters shows of a dead letter. It has nothing of
// the environment, which may be secret.
type letterInfo struct {
	Time      time.Time `json:"time"`
	Driver    string    `json:"driver"`
	Job       string    `json:"job"`
	Name      string    `json:"name,omitempty"`
	Reason    string    `json:"reason"`
	Timestamp time.Time `json:"timestamp,omitzero"`
	Source    string    `json:"source,omitempty"`
	Line      string    `json:"line"`
	// Raw is the line where it is not UTF-8, in base64.
	Raw []byte `json:"raw,omitempty"`
}

func letterInfoOf(d *host.DeadLetter) letterInfo {
	info := letterInfo{
		Time: d.Time, Driver: d.Driver, Job: d.Info.ContainerID, Reason: d.Reason,
		Timestamp: d.Timestamp, Source: d.Source, Line: string(d.Line),
	}
	if name := d.Info.Name(); name != info.Job {
		info.Name = name
	}
	if !utf8.Valid(d.Line) {
		info.Raw = d.Line
	}
	return info
}

func (a *app) listLetters(file *letters.File, o *lettersOptions) error {
	list, bad := []letterInfo{}, false
	for d, err := range file.All() {
		switch {
		case err != nil:
			a.notices.Printf("%v", err)
			bad = true
		case o.wants(&d):
			list = append(list, letterInfoOf(&d))
		}
	}
	var err error
	if *o.output == formatJSON {
		err = writeJSON(a.stdout, list)
	} else {
		_, err = a.stdout.WriteString(a.letterTable(list, time.Now()))
		err = quietPipe(err)
	}
	if err == nil && bad {
		err = exit(codeFailure)
	}
	return err
}

// shownLine is how much of a line the table shows, in characters.
const shownLine = 60

func (a *app) letterTable(list []letterInfo, now time.Time) string {
	if len(list) == 0 {
		return ""
	}
	t := a.newTable("SET ASIDE", "DRIVER", "JOB", "SOURCE", "LINE", "REASON")
	for _, l := range list {
		reason := oneLine(l.Reason)
		if !a.verbose {
			reason = shorten(reason, shownReason)
		}
		t.add(plain(units.HumanDuration(now.Sub(l.Time))+" ago", l.Driver, orDash(l.Job), orDash(l.Source),
			visible(l.Line, shownLine), reason)...)
	}
	return t.String()
}

// take takes the file. It returns nil, and has told that, where there is nothing.
func (a *app) take(file *letters.File) (*letters.Taken, error) {
	taken, err := file.Take()
	if errors.Is(err, fs.ErrNotExist) {
		a.notices.Printf("no dead letters in %s", file.Path())
		return nil, nil
	}
	return taken, err
}

func (a *app) purge(file *letters.File, o *lettersOptions) error {
	taken, err := a.take(file)
	if taken == nil {
		return err
	}
	n := 0
	for e := range taken.All() {
		if (e.Err == nil && o.wants(&e.Letter)) || o.wantsAll() {
			taken.Done(e.Index)
			n++
		}
	}
	if err := taken.Close(); err != nil {
		return fmt.Errorf("remove dead letters: %w", err)
	}
	a.notices.Printf("%d dead letters removed", n)
	return nil
}
