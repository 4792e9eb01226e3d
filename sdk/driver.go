package sdk

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/logplug/logplug/shared/logdriver"
	"github.com/logplug/logplug/shared/wire"
)

// Driver describes a driver. O is the struct of its options, see
// [Driver.Options].
type Driver[O any] struct {
	// Name is the driver's name, of lower-case letters, digits and "-". The
	// binary is called logplug-driver-NAME.
	Name string
	// Version is the driver's own version, for humans; "dev" if empty.
	Version string
	// Summary is one line of help.
	Summary string
	// Capability must agree with what the loggers can do: with ReadLogs they
	// implement logdriver.LogReader, without it they do not.
	Capability logdriver.Capability
	// Needs says what the driver's process must be allowed to do, for hosts that
	// confine their drivers: they refuse to open loggers in one whose needs they
	// do not grant, rather than have it fail later.
	Needs logdriver.Needs

	// Open starts a logger. opts is decoded and validated, and belongs to the
	// logger. An error that is a *logdriver.OptionError gets its Driver filled in.
	//
	// A logger takes messages by Log or, if it implements
	// logdriver.BatchLogger, by LogBatch. It may also implement
	// logdriver.SizedLogger, LogReader, Flusher and Sequencer. Open is called
	// from several goroutines, as are the methods of different loggers. A sink
	// that is out of reach is no reason to fail: return the logger, and an error
	// from LogBatch, which is called again until it succeeds.
	Open func(ctx context.Context, info logdriver.Info, opts *O) (logdriver.Logger, error)

	// OpenReader, if not nil, opens a log for reading that has no open logger in
	// this process. A reader that is also an io.Closer is closed after use.
	// logdriver.ErrNoLog reports a log that nobody has written. Where OpenReader
	// is nil, a logger is opened, read without following, and closed.
	OpenReader func(ctx context.Context, info logdriver.Info, opts *O) (logdriver.LogReader, error)
}

// Description returns what the driver says of itself. An error is a mistake in
// the Driver value or in the tags of O.
func (d Driver[O]) Description() (logdriver.Description, error) {
	s, err := d.schema()
	if err != nil {
		return logdriver.Description{}, err
	}
	version := d.Version
	if version == "" {
		version = "dev"
	}
	return logdriver.Description{
		Name:       d.Name,
		Version:    version,
		Summary:    d.Summary,
		Protocol:   logdriver.VersionRange{Min: wire.MinProtocol, Max: wire.MaxProtocol},
		Capability: d.Capability,
		Options:    s.options(),
		Needs:      d.Needs,
	}, nil
}

func (d Driver[O]) schema() (*schema, error) {
	switch {
	case !wire.ValidName(d.Name):
		return nil, fmt.Errorf("driver name %q: must be 1 to %d characters of %s", d.Name, wire.MaxNameBytes, wire.NamePattern)
	case d.Open == nil:
		return nil, fmt.Errorf("driver %s: Open is nil", d.Name)
	case strings.ContainsAny(d.Summary, "\r\n"):
		return nil, fmt.Errorf("driver %s: Summary is more than one line", d.Name)
	}
	if err := checkNeeds(&d.Needs); err != nil {
		return nil, fmt.Errorf("driver %s: %w", d.Name, err)
	}
	s, err := newSchema[O]()
	if err != nil {
		return nil, fmt.Errorf("driver %s: %w", d.Name, err)
	}
	return s, nil
}

// Options decodes and validates a configuration as Main does before Open.
//
// Each exported field of O with a tag `logplug:"NAME"` is an option:
//
//	MaxSize Size     `logplug:"max-size" default:"10m" help:"Size at which a file is rotated"`
//	Mode    string   `logplug:"mode" enum:"blocking,non-blocking" default:"blocking" help:"..."`
//	Token   string   `logplug:"token,required,secret" help:"..."`
//
// Types of fields are string, bool, the integers, float64, [Size],
// time.Duration, []string (items separated by commas), *regexp.Regexp and
// *template.Template of text/template, with the functions of [Tag]. Embedded
// structs, such as [Attributes] and [Tag], add their own options; those of a
// struct with a tag as `logplug:"syslog-,prefix"` get that before their names.
// Options that are not given have their default, or the zero value.
//
// If *O has a method Validate() error, it is called last; it reports what is
// wrong with single options as *logdriver.OptionError, joined with errors.Join
// if there are several.
//
// Errors are of type *logdriver.OptionError and contain no value of a secret option.
func (d Driver[O]) Options(config map[string]string) (*O, error) {
	s, err := d.schema()
	if err != nil {
		return nil, err
	}
	return decodeInto[O](d.Name, s, config)
}

// decodeInto decodes config by s, which is the schema of O.
func decodeInto[O any](driver string, s *schema, config map[string]string) (*O, error) {
	opts := new(O)
	err := s.decode(opts, config)
	if v, ok := any(opts).(interface{ Validate() error }); ok && err == nil {
		err = asOptionError(v.Validate())
	}
	if err != nil {
		return nil, withDriver(driver, err)
	}
	return opts, nil
}

// asOptionError makes an OptionError of any other error.
func asOptionError(err error) error {
	var opt *logdriver.OptionError
	if err == nil || errors.As(err, &opt) {
		return err
	}
	return &logdriver.OptionError{Reason: err.Error()}
}

// withDriver fills in the name of the driver in every OptionError within err.
func withDriver(driver string, err error) error {
	switch e := err.(type) {
	case *logdriver.OptionError:
		if e.Driver == "" {
			e.Driver = driver
		}
	case interface{ Unwrap() []error }:
		for _, sub := range e.Unwrap() {
			_ = withDriver(driver, sub)
		}
	case interface{ Unwrap() error }:
		_ = withDriver(driver, e.Unwrap())
	}
	return err
}
