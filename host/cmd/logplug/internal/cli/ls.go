package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/logplug/logplug/host/cmd/logplug/internal/jobs"
	"github.com/spf13/cobra"
)

// jobInfo is what logplug ls shows of a job. It has no options: they may be secret.
type jobInfo struct {
	ID       string     `json:"id"`
	Name     string     `json:"name,omitempty"`
	Driver   string     `json:"driver"`
	Cache    string     `json:"cache,omitempty"` // the driver that keeps a copy for reading
	Command  []string   `json:"command"`
	State    jobs.State `json:"state"`
	ExitCode *int       `json:"exitCode,omitempty"` // of an exited job
	PID      int        `json:"pid,omitempty"`      // of a running job's command
	Created  time.Time  `json:"created"`
	Ended    time.Time  `json:"ended,omitzero"`
	// Seconds is how long the job took so far; 0 for a lost one.
	Seconds float64 `json:"seconds"`
	LogPath string  `json:"logPath"`
	Trouble string  `json:"trouble,omitempty"`
	// CacheTrouble says what the copy lacks.
	CacheTrouble string `json:"cacheTrouble,omitempty"`
}

func (a *app) lsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list", "ps"},
		Short:   "List the jobs whose logs can be read",
		Long: `List the jobs of the state directory, the latest first. A job is "lost" if logplug
was killed before it could note the end; its log can be read nevertheless. Behind
a driver that cannot read is the one that keeps a copy, as in syslog+local.`,
		Args:              wantArgs(0, 0, "no arguments"),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	out := addFormat(cmd)
	ids := cmd.Flags().BoolP("quiet", "q", false, "show ids only")
	full := cmd.Flags().Bool("no-trunc", false, "show whole commands")
	cmd.RunE = func(*cobra.Command, []string) error {
		store, err := a.store()
		if err != nil {
			return err
		}
		list, bad := store.List()
		for _, err := range bad {
			a.notices.Printf("%v", err)
		}
		if err := a.printJobs(list, *out, *ids, *full); err != nil {
			return err
		}
		if len(bad) > 0 {
			return exit(codeFailure)
		}
		return nil
	}
	return cmd
}

func (a *app) printJobs(list []*jobs.Job, out format, ids, full bool) error {
	now := time.Now()
	if out == formatJSON {
		all := make([]jobInfo, len(list))
		for i, j := range list {
			all[i] = infoOf(j, now)
		}
		return writeJSON(a.stdout, all)
	}
	var text string
	if ids {
		var b strings.Builder
		for _, j := range list {
			b.WriteString(j.ID + "\n")
		}
		text = b.String()
	} else {
		text = a.jobTable(list, now, full)
	}
	_, err := a.stdout.WriteString(text)
	return quietPipe(err)
}

func infoOf(j *jobs.Job, now time.Time) jobInfo {
	info := jobInfo{
		ID: j.ID, Driver: j.Driver, Command: j.Command, State: j.State(), Created: j.Created, Ended: j.Ended,
		Seconds: j.Duration(now).Seconds(), LogPath: j.Info.LogPath, Trouble: j.Trouble,
		Cache: j.Cache, CacheTrouble: j.CacheTrouble,
	}
	if name := j.Info.Name(); name != j.ID {
		info.Name = name
	}
	switch info.State {
	case jobs.Exited:
		info.ExitCode = &j.ExitCode
	case jobs.Running:
		info.PID = j.CommandPID
	}
	return info
}

// shownCommand is how much of a command the table shows, in characters.
const shownCommand = 40

func (a *app) jobTable(list []*jobs.Job, now time.Time, full bool) string {
	limit := shownCommand
	if full {
		limit = 0
	}
	t := a.newTable("ID", "NAME", "DRIVER", "STATE", "CREATED", "DURATION", "COMMAND")
	for _, j := range list {
		info := infoOf(j, now)
		row := plain(info.ID, info.Name, driverText(info), "", units.HumanDuration(now.Sub(info.Created))+" ago", duration(info), visible(strings.Join(info.Command, " "), limit))
		row[3] = stateCell(info)
		t.add(row...)
	}
	return t.String()
}

// driverText is the driver, with that of the copy: "syslog+local".
func driverText(info jobInfo) string {
	if info.Cache != "" {
		return info.Driver + "+" + info.Cache
	}
	return info.Driver
}

func stateCell(info jobInfo) cell {
	switch info.State {
	case jobs.Exited:
		c := cell{text: fmt.Sprintf("exited (%d)", *info.ExitCode)}
		if *info.ExitCode != 0 {
			c.color = red
		}
		return c
	case jobs.Running:
		return cell{string(info.State), green}
	default:
		return cell{string(info.State), yellow}
	}
}

func duration(info jobInfo) string {
	if info.State == jobs.Lost {
		return "unknown"
	}
	d := time.Duration(info.Seconds * float64(time.Second))
	if d < time.Minute {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}
