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
	// driverQuarantined is one whose processes end again and again.
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
only, and fail if one of them cannot be used.`,
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
	all := describeAll(h.Drivers(ctx), h.Stats().Drivers)
	list := selectDrivers(all, names)
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
	if len(all) == 0 {
		dirs, _ := a.findPluginDirs() // it was good for openHost
		a.notices.Printf("no drivers in %s", strings.Join(dirs, ", "))
	}
	return unusable(all, names)
}

func describeAll(found []host.DriverInfo, used []host.DriverStats) (list []driverInfo) {
	for _, f := range found {
		info := driverInfo{Name: f.Name, Path: f.Path, Status: driverOK}
		switch {
		case f.Skipped != "":
			info.Status, info.Reason = driverRefused, f.Skipped
		case f.Err != nil:
			info.Status, info.Reason = driverBroken, f.Err.Error()
			if quarantined(f.Name, used) {
				info.Status = driverQuarantined
			}
		default:
			info.Version, info.Summary = f.Description.Version, f.Description.Summary
			info.ReadLogs = f.Description.Capability.ReadLogs
		}
		list = append(list, info)
	}
	return list
}

func quarantined(name string, used []host.DriverStats) bool {
	return slices.ContainsFunc(used, func(d host.DriverStats) bool {
		return d.Driver == name && d.State == host.StateQuarantined
	})
}

func selectDrivers(all []driverInfo, names []string) (list []driverInfo) {
	for _, d := range all {
		if len(names) == 0 || slices.Contains(names, d.Name) {
			list = append(list, d)
		}
	}
	return list
}

// unusable returns an error for the names that no usable driver has. What there is
// of such a name is in the list already.
func unusable(all []driverInfo, names []string) error {
	var known []string
	for _, d := range all {
		if d.Status == driverOK {
			known = append(known, d.Name)
		}
	}
	var bad []string
	for _, n := range names {
		if slices.Contains(known, n) {
			continue
		}
		text := fmt.Sprintf("driver %q is not usable", n)
		if !slices.ContainsFunc(all, func(d driverInfo) bool { return d.Name == n }) {
			text = fmt.Sprintf("no driver %q", n)
			if near := nearest(n, known); near != "" {
				text += fmt.Sprintf("; did you mean %q?", near)
			}
		}
		bad = append(bad, text)
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
