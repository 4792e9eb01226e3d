package sdk

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/logplug/logplug/sdk/internal/redact"
	"github.com/logplug/logplug/sdk/internal/serve"
	"github.com/logplug/logplug/sdk/internal/service"
	"github.com/logplug/logplug/shared/logdriver"
	"github.com/logplug/logplug/shared/wire"
)

// Exit statuses of Main.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
)

// Main is the whole of a driver's main function, but for the exit:
//
//	func main() { os.Exit(sdk.Main(driver)) }
//
// Started by a host, it serves d until the host has no more use for it, has died,
// or a SIGTERM comes, and stores what it has received before it returns.
// Otherwise it heeds the arguments: describe, --version, --help, and --debug,
// which serves without a host so that one can attach to it.
//
// It makes log/slog's default logger one whose lines reach the host's log.
func Main[O any](d Driver[O]) int {
	desc, err := d.Description()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitError
	}
	p := program{desc: desc, args: os.Args, stdout: os.Stdout, stderr: os.Stderr}
	mode, code := p.mode()
	if mode == modeDone {
		return code
	}
	svc, log := newService(d, desc)
	if mode == modeHost {
		return serve.Run(svc, log)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return serve.Debug(ctx, desc.Name, svc, log, os.Stdout)
}

// newService makes the service and the logger of a driver's process.
func newService[O any](d Driver[O], desc logdriver.Description) (*service.Service, *slog.Logger) {
	secrets := new(redact.Set)
	log := slog.New(serve.NewHandler(os.Stderr, slog.LevelDebug, desc.Name, secrets))
	slog.SetDefault(log)
	return service.New(service.Config{Driver: d.adapt(desc), Log: log, Secrets: secrets}), log
}

// adapt removes the type parameter.
func (d Driver[O]) adapt(desc logdriver.Description) service.Driver {
	// Description has succeeded, so this does.
	s, _ := newSchema[O]()
	sd := service.Driver{
		Description: desc,
		Secrets:     s.secrets,
		Open: func(ctx context.Context, info logdriver.Info) (logdriver.Logger, error) {
			opts, err := decodeInto[O](d.Name, s, info.Config)
			if err != nil {
				return nil, err
			}
			l, err := d.Open(ctx, info, opts)
			return l, withDriver(d.Name, err)
		},
	}
	if d.OpenReader != nil {
		sd.OpenReader = func(ctx context.Context, info logdriver.Info) (logdriver.LogReader, error) {
			opts, err := decodeInto[O](d.Name, s, info.Config)
			if err != nil {
				return nil, err
			}
			r, err := d.OpenReader(ctx, info, opts)
			return r, withDriver(d.Name, err)
		}
	}
	return sd
}

type mode int

const (
	modeDone  mode = iota // there is nothing more to do
	modeHost              // serve the host that started the process
	modeDebug             // serve without one
)

// program is the driver as a command.
type program struct {
	desc           logdriver.Description
	args           []string
	stdout, stderr io.Writer
}

// mode does what the arguments ask for and says what is left to do.
func (p *program) mode() (m mode, code int) {
	arg := ""
	if len(p.args) > 1 {
		arg = p.args[1]
	}
	switch arg {
	case wire.DescribeCommand:
		return modeDone, p.describe()
	case "--version", "-version", "version":
		fmt.Fprintf(p.stdout, "%s%s %s\n", wire.DriverPrefix, p.desc.Name, p.desc.Version)
		return modeDone, exitOK
	case "--help", "-help", "-h", "help":
		p.help(p.stdout)
		return modeDone, exitOK
	case "--debug", "-debug":
		return modeDebug, exitOK
	}
	switch {
	case serve.StartedByHost():
		return modeHost, exitOK
	case arg == "" && os.Getenv(wire.EnvDebug) != "":
		return modeDebug, exitOK
	case arg != "":
		fmt.Fprintf(p.stderr, "unknown argument %q\n\n", arg)
	}
	p.help(p.stderr)
	return modeDone, exitUsage
}

func (p *program) describe() int {
	enc := json.NewEncoder(p.stdout)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(p.desc); err != nil {
		fmt.Fprintf(p.stderr, "describe: %v\n", err)
		return exitError
	}
	return exitOK
}

func (p *program) help(w io.Writer) {
	binary := wire.DriverPrefix + p.desc.Name
	name := binary
	if len(p.args) > 0 {
		name = filepath.Base(p.args[0])
	}
	summary := p.desc.Summary
	if summary != "" {
		summary = ": " + strings.TrimSuffix(summary, ".")
	}
	fmt.Fprintf(w, `%[1]s is the logplug driver %[2]q, version %[3]s%[4]s.

It is started by a program that logs, not by hand. Put it, under the name
%[5]s, into a directory where that program looks for
drivers; for the command logplug that is the folder "drivers" beside it, or what
--plugin-dir or %[6]s name. Then:

  logplug drivers                          list the drivers that were found
  logplug run --driver %[2]s -- COMMAND    log what a command prints

By hand, it takes one of these arguments:

  describe     print name, version, capabilities and options in JSON
  --debug      run without a host and print the variable that attaches one
  --version    print the version
  --help       print this
`, name, p.desc.Name, p.desc.Version, summary, binary, wire.EnvPluginDir)
	p.helpOptions(w)
}

func (p *program) helpOptions(w io.Writer) {
	if len(p.desc.Options) == 0 {
		return
	}
	fmt.Fprint(w, "\nOptions of the driver:\n\n")
	for _, o := range p.desc.Options {
		kind := string(o.Type)
		if len(o.Values) > 0 {
			kind = strings.Join(o.Values, "|")
		}
		var notes []string
		if o.Help != "" {
			notes = append(notes, o.Help)
		}
		switch {
		case o.Required:
			notes = append(notes, "(required)")
		case o.Default != "" && !o.Secret:
			notes = append(notes, "(default "+o.Default+")")
		}
		fmt.Fprintf(w, "  %s=%s\n      %s\n", o.Name, kind, strings.Join(notes, " "))
	}
}
