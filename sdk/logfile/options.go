package logfile

import (
	"log/slog"
	"time"

	"github.com/logplug/logplug/sdk"
	"github.com/logplug/logplug/shared/logdriver"
)

// Options adds the options that drivers with log files have in common to a struct that
// embeds it: "path", "sync", "sync-interval", and those of sdk.Attributes and sdk.Tag.
type Options struct {
	Path         string        `logplug:"path" help:"File to write; not given: the one that the host names"`
	Sync         string        `logplug:"sync" enum:"none,interval,batch" default:"none" help:"When written messages are made to survive a loss of power"`
	SyncInterval time.Duration `logplug:"sync-interval" default:"1s" help:"How long that may take at most, with sync=interval"`

	sdk.Attributes
	sdk.Tag
}

// Validate reports what is wrong with the options. A struct that embeds Options and
// has a Validate of its own calls it.
func (o *Options) Validate() error {
	if o.SyncInterval <= 0 {
		return &logdriver.OptionError{Option: "sync-interval", Reason: "must be greater than 0, such as 1s"}
	}
	return nil
}

// Config returns the configuration of the log of info that follows from the options,
// with errors that no caller can be given logged as warnings. An error is a
// *logdriver.OptionError.
func (o *Options) Config(info *logdriver.Info) (Config, error) {
	path := o.Path
	if path == "" {
		path = info.LogPath
	}
	if path == "" {
		return Config{}, &logdriver.OptionError{Option: "path", Reason: "is needed where the host names no file for the log"}
	}
	return Config{
		Path:         path,
		Sync:         o.syncMode(),
		SyncInterval: o.SyncInterval,
		Stream:       info.Stream,
		OnError:      func(err error) { slog.Warn("trouble with a log file", "path", path, "error", err) },
	}, nil
}

func (o *Options) syncMode() SyncMode {
	switch o.Sync {
	case "interval":
		return SyncInterval
	case "batch":
		return SyncBatch
	}
	return SyncNone
}

// Constants returns the attributes that all messages of info have. The tag is one of
// them only if the user asked for it. An error is a *logdriver.OptionError.
func (o *Options) Constants(info *logdriver.Info) ([]logdriver.Attr, error) {
	return o.AppendTag(o.Extra(info), info)
}
