package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/go-hclog"
	"github.com/logplug/logplug/host"
	"github.com/spf13/cobra"
)

// driverInfo is what logplug drivers shows of a file in a plugin directory.
type driverInfo struct {
	Name     string `json:"name,omitempty"`
	Path     string `json:"path,omitempty"`
	Status   string `json:"status"`           // ok, refused, broken or quarantined
	Reason   string `json:"reason,omitempty"` // several lines, possibly
	Version  string `json:"version,omitempty"`
	Summary  string `json:"summary,omitempty"`
	ReadLogs bool   `json:"readLogs"`
}

// The states of a driver.
const (
	driverOK      = "ok"
	driverRefused = "refused"
	driverBroken  = "broken"
	// driverQuarantined is one whose processes end again and again in a job that runs.
	driverQuarantined = "quarantined"
)

// shownReason is how much of a reason the table shows, in characters.
const shownReason = 300

func (a *app) driversCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "drivers [NAME...]",
		Short: "List drivers, and what was refused and why",
		Long: `List what is in the plugin directories: drivers, and files that were refused or
are broken, with the reason, which --verbose shows in full. With names, list these
only, and fail if one of them cannot be used.

Each driver is started, to describe itself: one whose process ends over that is
broken. One whose processes end again and again in a logplug run of the same state
directory is in quarantine there, and listed as quarantined.`,
		ValidArgsFunction: a.completeDrivers,
	}
	out := addFormat(cmd)
	cmd.RunE = func(_ *cobra.Command, names []string) error {
		ctx, stop := interruptible()
		defer stop()
		return interruption(ctx, a.drivers(ctx, names, *out))
	}
	return cmd
}

func (a *app) drivers(ctx context.Context, names []string, out format) error {
	h, stop, err := a.openHost(hclog.Off, host.Config{})
	if err != nil {
		return err
	}
	defer stop()
	found := h.Drivers(ctx, names...)
	list := describeAll(selectDrivers(found, names), h.Stats().Drivers)
	a.addQuarantines(list)
	if out == formatJSON {
		if list == nil {
			list = []driverInfo{} // an empty array, not null
		}
		err = writeJSON(a.stdout, list)
	} else {
		_, err = a.stdout.WriteString(a.driverText(list))
		err = quietPipe(err)
	}
	if err != nil {
		return err
	}
	if len(found) == 0 {
		dirs, _ := a.findPluginDirs() // it was good for openHost
		a.notices.Printf("no drivers in %s", strings.Join(dirs, ", "))
	}
	return unusable(found, list, names)
}

func selectDrivers(all []host.DriverInfo, names []string) (list []host.DriverInfo) {
	for _, d := range all {
		if len(names) == 0 || slices.Contains(names, d.Name) {
			list = append(list, d)
		}
	}
	return list
}

func describeAll(found []host.DriverInfo, used []host.DriverStats) (list []driverInfo) {
	for _, f := range found {
		info := driverInfo{Name: f.Name, Path: f.Path, Status: driverOK}
		switch {
		case f.Skipped != "":
			info.Status, info.Reason = driverRefused, f.Skipped
		case f.Err != nil:
			info.Status, info.Reason = driverBroken, f.Err.Error()
		default:
			info.Version, info.Summary = f.Description.Version, f.Description.Summary
			info.ReadLogs = f.Description.Capability.ReadLogs
			if end := endOf(f.Name, used); end != "" {
				info.Status, info.Reason = driverBroken, end
			}
		}
		list = append(list, info)
	}
	return list
}

// endOf returns why the process of a driver that has described itself has ended since.
func endOf(name string, used []host.DriverStats) string {
	for _, d := range used {
		if d.Driver == name && d.Pid == 0 {
			return d.LastError
		}
	}
	return ""
}

// addQuarantines adds what jobs that run have found out about drivers.
func (a *app) addQuarantines(list []driverInfo) {
	store, err := a.store()
	if err != nil {
		return // no job has run, or logplug ls complains
	}
	all, _ := store.List() // damaged records are for logplug ls to complain about
	for _, j := range all {
		if len(j.Quarantined) == 0 || !j.Active() {
			continue
		}
		for i := range list {
			reason, ok := j.Quarantined[list[i].Name]
			if d := &list[i]; ok && d.Status != driverRefused && d.Status != driverQuarantined {
				d.Status, d.Reason = driverQuarantined, fmt.Sprintf("in job %s: %s", j.ID, reason)
			}
		}
	}
}

// unusable returns an error for the names that no usable driver of the list has. What
// there is of such a name is in the list already.
func unusable(found []host.DriverInfo, list []driverInfo, names []string) error {
	var known []string // and not refused
	for _, d := range found {
		if d.Skipped == "" {
			known = append(known, d.Name)
		}
	}
	var bad []string
	for _, n := range names {
		switch near := nearest(n, known); {
		case slices.ContainsFunc(list, func(d driverInfo) bool { return d.Name == n && d.Status == driverOK }):
		case slices.ContainsFunc(list, func(d driverInfo) bool { return d.Name == n }):
			bad = append(bad, fmt.Sprintf("driver %q is not usable", n))
		case near != "":
			bad = append(bad, fmt.Sprintf("no driver %q; did you mean %q?", n, near))
		default:
			bad = append(bad, fmt.Sprintf("no driver %q", n))
		}
	}
	if bad == nil {
		return nil
	}
	return errors.New(strings.Join(bad, ", "))
}

// driverText is the table and, with --verbose, what it has no room for.
func (a *app) driverText(list []driverInfo) string {
	var b strings.Builder
	b.WriteString(a.driverTable(list))
	for _, d := range list {
		if !a.verbose || oneLine(d.Reason) == d.Reason {
			continue
		}
		fmt.Fprintf(&b, "\n%s: %s\n", oneLine(d.Path), d.Status)
		for line := range strings.Lines(d.Reason) {
			b.WriteString("    " + printable(strings.TrimRight(line, "\r\n")) + "\n")
		}
	}
	return b.String()
}

func (a *app) driverTable(list []driverInfo) string {
	if len(list) == 0 {
		return ""
	}
	t := a.newTable("NAME", "VERSION", "READS", "STATUS", "PATH", "REASON")
	for _, d := range list {
		reason := oneLine(d.Reason)
		if !a.verbose {
			reason = shorten(reason, shownReason)
		}
		row := plain(orDash(d.Name), orDash(d.Version), reads(d), "", orDash(d.Path), reason)
		row[3] = cell{d.Status, statusColor(d.Status)}
		t.add(row...)
	}
	return t.String()
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func reads(d driverInfo) string {
	switch {
	case d.Status != driverOK:
		return "-"
	case d.ReadLogs:
		return "yes"
	default:
		return "no"
	}
}

func statusColor(status string) color {
	switch status {
	case driverOK:
		return green
	case driverRefused:
		return yellow
	default:
		return red
	}
}
