package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/go-hclog"
	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/shared/logdriver"
	"github.com/spf13/cobra"
)

func (a *app) describeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "describe NAME",
		Short:             "Show what a driver can do, and its options",
		Args:              wantArgs(1, 1, "the name of a driver"),
		ValidArgsFunction: firstArg(a.completeDrivers),
	}
	out := addFormat(cmd)
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		ctx, stop := interruptible()
		defer stop()
		return interruption(ctx, a.describe(ctx, args[0], *out))
	}
	return cmd
}

func (a *app) describe(ctx context.Context, name string, out format) error {
	h, stop, err := a.openHost(hclog.Off, host.Config{})
	if err != nil {
		return err
	}
	defer stop()
	d, err := h.Describe(ctx, name)
	if err != nil {
		return err
	}
	if out == formatJSON {
		return writeJSON(a.stdout, description{d, hostOptions(&d)})
	}
	_, err = a.stdout.WriteString(a.descriptionText(&d))
	return quietPipe(err)
}

func (a *app) descriptionText(d *logdriver.Description) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", oneLine(d.Name), oneLine(d.Version))
	if d.Summary != "" {
		fmt.Fprintf(&b, "%s\n", oneLine(d.Summary))
	}
	fmt.Fprintf(&b, "Protocol: %d to %d\n", d.Protocol.Min, d.Protocol.Max)
	fmt.Fprintf(&b, "Reads logs back: %s\n", yesNo(d.Capability.ReadLogs))
	if len(d.Options) == 0 {
		b.WriteString("It has no options of its own.\n")
	}
	b.WriteByte('\n')
	t := a.newTable("OPTION", "TYPE", "DEFAULT", "NOTES", "HELP")
	for _, o := range append(driverOptions(d), logplugOptions(d)...) {
		t.add(plain(o.Name, optionType(&o.Option), orDash(optionDefault(&o.Option)), orDash(o.notes()), o.Help)...)
	}
	b.WriteString(t.String())
	return b.String()
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func optionType(o *logdriver.Option) string {
	if o.Type == logdriver.TypeEnum {
		return strings.Join(o.Values, "|")
	}
	return string(o.Type)
}

// optionDefault hides the default of a secret: a driver should have none.
func optionDefault(o *logdriver.Option) string {
	if o.Secret && o.Default != "" {
		return "(hidden)"
	}
	return o.Default
}

// description is what logplug describe shows of a driver in JSON.
type description struct {
	logdriver.Description
	// HostOptions are the options that logplug itself takes.
	HostOptions []logdriver.Option `json:"hostOptions"`
}

// option is an option with who takes it.
type option struct {
	logdriver.Option
	ofHost bool // logplug itself takes it
	hidden bool // of the driver, but logplug has one of this name
}

// hostOptions are those that logplug itself takes for a driver: those of the cache
// only where there is one.
func hostOptions(d *logdriver.Description) []logdriver.Option {
	if d.Capability.ReadLogs {
		return host.LoggerOptions()
	}
	return slices.Concat(host.LoggerOptions(), host.CacheOptions())
}

func logplugOptions(d *logdriver.Description) (list []option) {
	for _, o := range hostOptions(d) {
		list = append(list, option{Option: o, ofHost: true})
	}
	return list
}

func driverOptions(d *logdriver.Description) (list []option) {
	taken := slices.Concat(host.LoggerOptions(), host.CacheOptions())
	for _, o := range d.Options {
		hidden := slices.ContainsFunc(taken, func(t logdriver.Option) bool { return t.Name == o.Name })
		list = append(list, option{Option: o, hidden: hidden})
	}
	return list
}

func (o *option) completionHelp() string {
	if o.ofHost {
		return o.Help + " (logplug's own)"
	}
	return o.Help
}

func (o *option) notes() string {
	var notes []string
	if o.ofHost {
		notes = append(notes, "logplug's own")
	}
	if o.hidden {
		notes = append(notes, "never reaches the driver, see below")
	}
	if o.Required {
		notes = append(notes, "required")
	}
	if o.Secret {
		notes = append(notes, "secret")
	}
	return strings.Join(notes, ", ")
}
