package cli

import (
	"context"
	"os"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/host/cmd/logplug/internal/jobs"
	"github.com/logplug/logplug/shared/wire"
)

// app is one run of logplug: its standard files and the flags of all commands.
type app struct {
	stdin, stdout, stderr *os.File
	notices               *notices
	hostLog               *hostLog

	pluginDirs []string
	stateDir   string
	driverEnv  []string
	pins       string
	verbose    bool
}

func newApp(stdin, stdout, stderr *os.File) *app {
	n := &notices{w: stderr}
	return &app{stdin: stdin, stdout: stdout, stderr: stderr, notices: n, hostLog: &hostLog{notices: n}}
}

// store returns the state directory's store.
func (a *app) store() (*jobs.Store, error) {
	dir, err := a.findStateDir()
	if err != nil {
		return nil, err
	}
	return jobs.NewStore(dir), nil
}

// stopTimeout bounds what closing a host may take on its way out, if the host's own
// limit for that is not longer.
const stopTimeout = 5 * time.Second

// openHost returns a host with cfg, to which the flags of all commands are added.
// level is what it and its drivers log to stderr without --verbose.
func (a *app) openHost(level hclog.Level, cfg host.Config) (h *host.Host, stop func(), err error) {
	dirs, err := a.findPluginDirs()
	if err != nil {
		return nil, nil, err
	}
	if a.verbose {
		level = hclog.Debug
		a.hostLog.release()
	}
	cfg.PluginDirs, cfg.Env, cfg.Attach = dirs, a.driverEnv, os.Getenv(wire.EnvAttach)
	cfg.Pins = a.pins
	cfg.Cache = host.CacheConfig{Driver: cacheDriver}
	cfg.Logger = hclog.New(&hclog.LoggerOptions{Level: level, Output: a.hostLog, DisableTime: !a.verbose})
	if h, err = host.New(cfg); err != nil {
		return nil, nil, err
	}
	stop = func() {
		// What an earlier logplug left in a spool directory may still be on its way.
		ctx, cancel := context.WithTimeout(context.Background(), max(stopTimeout, cfg.Timeouts.Close))
		defer cancel()
		if err := h.Close(ctx); err != nil {
			a.notices.Printf("closing: %v", err)
		}
	}
	return h, stop, nil
}
