package drivertest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/hashicorp/go-hclog"
	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/shared/logdriver"
)

// env is what the check of one rule works with: a host of its own, and with
// it a driver process of its own.
type env struct {
	*checker
	set  OptionSet
	host *host.Host
	log  *capture // what the host and the driver log

	processes []*process // that were started without the host
}

func (c *checker) newEnv(set OptionSet) (*env, error) {
	e := &env{checker: c, set: set, log: new(capture)}
	h, err := e.newHost()
	if err != nil {
		return nil, err
	}
	e.host = h
	return e, nil
}

// newHost returns another host, which the caller closes.
func (e *env) newHost() (*host.Host, error) {
	wait := e.opts.Wait
	return host.New(host.Config{
		PluginDirs: []string{filepath.Dir(e.binary)},
		Env:        e.driverEnv(),
		Logger: hclog.New(&hclog.LoggerOptions{
			Name: "host", Level: hclog.Trace, Output: e.log,
		}),
		Timeouts: host.Timeouts{Start: wait, Call: wait, Log: wait, Close: wait, Stop: wait, Health: wait},
	})
}

func (e *env) closeHost(h *host.Host) error {
	ctx, cancel := context.WithTimeout(context.Background(), e.opts.Wait)
	defer cancel()
	if err := h.Close(ctx); err != nil {
		return fmt.Errorf("close the host: %w", err)
	}
	return nil
}

// raceReport begins what Go's race detector writes to stderr.
const raceReport = "WARNING: DATA RACE"

// close ends what the check has left behind. A data race breaks every rule.
func (e *env) close() error {
	for _, p := range e.processes {
		p.kill()
	}
	err := e.closeHost(e.host)
	if strings.Contains(e.log.String(), raceReport) {
		err = errors.Join(err, errors.New("the driver, which was built with the race detector, reported a data race"))
	}
	return err
}

// anotherHost replaces the host, and with it the driver's process, by a fresh one.
func (e *env) anotherHost() error {
	h, err := e.newHost()
	if err != nil {
		return err
	}
	old := e.host
	e.host = h
	return e.closeHost(old)
}

// newInfo describes a log that does not exist yet.
func (e *env) newInfo() logdriver.Info {
	var id [32]byte
	rand.Read(id[:]) // never fails
	info := logdriver.Info{
		ContainerID:         hex.EncodeToString(id[:]),
		ContainerEntrypoint: "/bin/sh",
		ContainerArgs:       []string{"-c", "true"},
		ContainerImageName:  "drivertest",
		ContainerEnv:        []string{"DRIVERTEST=yes"},
		ContainerLabels:     map[string]string{"drivertest": "yes"},
		DaemonName:          "drivertest",
	}
	info.ContainerName = "/drivertest-" + info.ID()
	info.LogPath = filepath.Join(e.dir, info.ID()+".log")
	info.Config = e.opts.config(e.set, &info, e.dir)
	if e.opts.Log != nil {
		e.opts.Log(&info)
	}
	return info
}

func (e *env) open(ctx context.Context, info logdriver.Info) (host.Logger, error) {
	l, err := e.host.Open(ctx, e.name, info)
	if err != nil {
		return nil, fmt.Errorf("open a logger: %w", err)
	}
	return l, nil
}

// openNew opens a logger for a log that does not exist yet.
func (e *env) openNew(ctx context.Context) (host.Logger, logdriver.Info, error) {
	info := e.newInfo()
	l, err := e.open(ctx, info)
	return l, info, err
}

// with calls f with a new logger, and closes it.
func (e *env) with(ctx context.Context, f func(l host.Logger, info logdriver.Info) error) error {
	l, info, err := e.openNew(ctx)
	if err != nil {
		return err
	}
	err = f(l, info)
	cerr := e.shut(ctx, l)
	if err == nil && !errors.Is(cerr, logdriver.ErrClosed) {
		err = cerr
	}
	return err
}

// shut closes a logger.
func (e *env) shut(ctx context.Context, l host.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, e.opts.Wait)
	defer cancel()
	if err := l.Shutdown(ctx); err != nil {
		return fmt.Errorf("close the logger: %w", err)
	}
	return nil
}

func (e *env) flush(ctx context.Context, l host.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, e.opts.Wait)
	defer cancel()
	if err := l.Flush(ctx); err != nil {
		return fmt.Errorf("flush the logger: %w", err)
	}
	return nil
}

// scaled returns how many messages stand for n with the env's option set, which
// may give each a file of its own.
func (e *env) scaled(n int) int {
	if e.set.Name == "" {
		return n
	}
	return n / 4
}

// source reads a log: live, through its open logger, or reopened.
type source func(context.Context, logdriver.ReadConfig) *logdriver.LogWatcher

// live reads through an open logger.
func live(l host.Logger) source {
	return func(ctx context.Context, cfg logdriver.ReadConfig) *logdriver.LogWatcher {
		if r, ok := l.(logdriver.LogReader); ok {
			return r.ReadLogs(ctx, cfg)
		}
		w := logdriver.NewLogWatcher()
		w.Fail(fmt.Errorf("the driver's Describe says that it reads logs back, its Open says that it does not: %w", logdriver.ErrReadLogsNotSupported))
		close(w.Msg)
		return w
	}
}

// reopened reads a log that has no open logger.
func (e *env) reopened(info logdriver.Info) source {
	return func(ctx context.Context, cfg logdriver.ReadConfig) *logdriver.LogWatcher {
		return e.host.ReadLogs(ctx, e.name, info, cfg)
	}
}

// bothWays logs records, then calls f with the two ways to read them: live, and
// after the logger was closed.
func (e *env) bothWays(ctx context.Context, records []record, f func(source) error) error {
	var log logdriver.Info
	err := e.with(ctx, func(l host.Logger, info logdriver.Info) error {
		log = info
		if err := logAll(l, records); err != nil {
			return err
		}
		return f(live(l))
	})
	if err != nil {
		return fmt.Errorf("while the logger is open: %w", err)
	}
	if err := f(e.reopened(log)); err != nil {
		return fmt.Errorf("after the logger was closed: %w", err)
	}
	return nil
}
