package main

import (
	"errors"

	"github.com/logplug/logplug/sdk"
	"github.com/logplug/logplug/sdk/logfile"
	"github.com/logplug/logplug/shared/logdriver"
)

// options are those of Docker's json-file driver, and path, sync and
// sync-interval.
type options struct {
	MaxSize  sdk.Size `logplug:"max-size" help:"Size at which a file is rotated; not given: never"`
	MaxFile  int      `logplug:"max-file" default:"1" help:"Number of files that are kept, the current one included"`
	Compress bool     `logplug:"compress" help:"Compress rotated files with gzip"`

	logfile.Options
}

// Validate reports what is wrong with the options.
func (o *options) Validate() error {
	var errs []error
	refuse := func(option, reason string) {
		errs = append(errs, &logdriver.OptionError{Option: option, Reason: reason})
	}
	if o.MaxSize < 0 {
		refuse("max-size", "must be greater than 0, such as 10m; leave it out for files without limit")
	}
	if o.MaxFile < 1 {
		refuse("max-file", "must be 1 or more")
	}
	if o.Compress && (o.MaxSize == 0 || o.MaxFile == 1) {
		refuse("compress", "compresses rotated files, of which there are none: give max-size, and a max-file of 2 or more")
	}
	return errors.Join(append(errs, o.Options.Validate())...)
}

// checkGiven refuses what cannot be told from an option that was not given.
func (o *options) checkGiven(config map[string]string) error {
	if _, given := config["max-size"]; given && o.MaxSize == 0 {
		return &logdriver.OptionError{
			Option: "max-size", Reason: "must be greater than 0, such as 10m; leave it out for files without limit",
		}
	}
	return nil
}
