package main

import (
	"errors"
	"time"

	"github.com/logplug/logplug/drivers/local/internal/record"
	"github.com/logplug/logplug/sdk"
	"github.com/logplug/logplug/sdk/logfile"
	"github.com/logplug/logplug/shared/logdriver"
)

// options are those of Docker's local driver, and max-age, path, sync and
// sync-interval.
type options struct {
	MaxSize  sdk.Size      `logplug:"max-size" default:"20m" help:"Size at which a file is rotated"`
	MaxFile  int           `logplug:"max-file" default:"5" help:"Number of files that are kept, the current one included"`
	MaxAge   time.Duration `logplug:"max-age" help:"Age at which rotated files are removed, such as 720h, counted from their last message; not given: never"`
	Compress bool          `logplug:"compress" default:"true" help:"Compress rotated files with Zstandard"`

	logfile.Options
}

// Validate reports what is wrong with the options.
func (o *options) Validate() error {
	var errs []error
	refuse := func(option, reason string) {
		errs = append(errs, &logdriver.OptionError{Option: option, Reason: reason})
	}
	if o.MaxSize <= 0 {
		refuse("max-size", "must be greater than 0, such as 20m")
	}
	if o.MaxFile < 1 {
		refuse("max-file", "must be 1 or more")
	}
	if o.MaxAge < 0 {
		refuse("max-age", "must be greater than 0, such as 720h; leave it out to keep files of any age")
	}
	return errors.Join(append(errs, o.Options.Validate())...)
}

// checkGiven refuses what cannot be told from an option that was not given.
func (o *options) checkGiven(config map[string]string) error {
	if _, given := config["max-age"]; given && o.MaxAge == 0 {
		return &logdriver.OptionError{
			Option: "max-age", Reason: "must be greater than 0, such as 720h; leave it out to keep files of any age",
		}
	}
	if _, given := config["compress"]; given && o.Compress && o.MaxFile == 1 {
		return &logdriver.OptionError{
			Option: "compress", Reason: "compresses rotated files, of which there are none: give a max-file of 2 or more",
		}
	}
	return nil
}

// config returns the configuration of the log of info.
func (o *options) config(info *logdriver.Info) (logfile.Config, error) {
	if err := o.checkGiven(info.Config); err != nil {
		return logfile.Config{}, err
	}
	cfg, err := o.Config(info)
	if err != nil {
		return cfg, err
	}
	attrs, err := o.Constants(info)
	cfg.Format = record.New(attrs)
	cfg.MaxSize, cfg.MaxFiles, cfg.MaxAge = int64(o.MaxSize), o.MaxFile, o.MaxAge
	cfg.Compress, cfg.Codec, cfg.Numbered = o.Compress, logfile.Zstd, true
	return cfg, err
}
