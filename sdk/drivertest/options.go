package drivertest

import (
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/logplug/logplug/shared/logdriver"
)

// Options says how to check a driver. The zero value is good for a driver that
// needs no options.
type Options struct {
	// Config holds the driver's options for all loggers; required ones must be
	// here. These texts in values are replaced for each log: "%{id}" by its
	// Info.ContainerID, "%{path}" by its Info.LogPath, and "%{dir}" by the
	// directory that LogPath is in.
	Config map[string]string

	// Log, if not nil, completes what describes a log, as by giving it an option
	// with a name of its own on a server. ContainerID and LogPath are unique.
	// It may be called from several goroutines and must give the same answer
	// for the same ContainerID.
	Log func(info *logdriver.Info)

	// Sets are further sets of options. Rules with EachSet, which are those about
	// reading, are checked once more with each. A driver that rotates files gives
	// one with which each message starts a new file, while all files of a few
	// hundred messages are kept; one that compresses gives another.
	Sets []OptionSet

	// Skip maps the ID of a rule, or a pattern as path.Match takes it, to the
	// reason why it is not checked. It shows in the results.
	Skip map[string]string

	// Only, if not empty, limits the check to rules with one of these IDs or
	// patterns.
	Only []string

	// Env is passed to host.Config.Env: what of this process's environment
	// the driver gets.
	Env []string

	// Dir is an existing directory for log files. The default is a temporary
	// one that is removed afterwards.
	Dir string

	// Timeout bounds the check of one rule: default 2 minutes.
	Timeout time.Duration

	// Wait bounds each single wait within a check, such as for the next message
	// or for the process to end: default 15 seconds.
	Wait time.Duration

	// Report, if not nil, is called with each result as soon as it is known.
	Report func(Result)
}

// OptionSet is a named set of options.
type OptionSet struct {
	// Name shows in results as "rule@name".
	Name string
	// Config is laid over Options.Config.
	Config map[string]string
}

func (o Options) withDefaults() (Options, error) {
	if o.Timeout <= 0 {
		o.Timeout = 2 * time.Minute
	}
	if o.Wait <= 0 {
		o.Wait = 15 * time.Second
	}
	for pattern := range o.Skip {
		if err := checkPattern(pattern); err != nil {
			return o, fmt.Errorf("drivertest: Options.Skip: %w", err)
		}
	}
	for _, pattern := range o.Only {
		if err := checkPattern(pattern); err != nil {
			return o, fmt.Errorf("drivertest: Options.Only: %w", err)
		}
	}
	seen := map[string]bool{"": true}
	for _, s := range o.Sets {
		if seen[s.Name] {
			return o, fmt.Errorf("drivertest: Options.Sets: the name %q is empty or used twice", s.Name)
		}
		seen[s.Name] = true
	}
	return o, nil
}

// checkPattern refuses a pattern that fits no rule: it is a mistake, and would
// go unnoticed.
func checkPattern(pattern string) error {
	for _, r := range Rules() {
		if fits(pattern, r.ID) {
			return nil
		}
	}
	return fmt.Errorf("no rule fits %q", pattern)
}

func fits(pattern, id string) bool {
	ok, err := path.Match(pattern, id)
	return pattern == id || (ok && err == nil)
}

func (o *Options) wants(id string) bool {
	for _, pattern := range o.Only {
		if fits(pattern, id) {
			return true
		}
	}
	return len(o.Only) == 0
}

func (o *Options) skipped(id string) (reason string, ok bool) {
	for pattern, reason := range o.Skip {
		if fits(pattern, id) {
			return reason, true
		}
	}
	return "", false
}

// config returns the options of the log that info describes.
func (o *Options) config(set OptionSet, info *logdriver.Info, dir string) map[string]string {
	texts := strings.NewReplacer("%{id}", info.ContainerID, "%{path}", info.LogPath, "%{dir}", dir)
	config := make(map[string]string, len(o.Config)+len(set.Config))
	for k, v := range o.Config {
		config[k] = texts.Replace(v)
	}
	for k, v := range set.Config {
		config[k] = texts.Replace(v)
	}
	return config
}
