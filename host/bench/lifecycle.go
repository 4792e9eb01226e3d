package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/host/bench/internal/proc"
	"golang.org/x/sync/errgroup"
)

const (
	idleLoggers = 10_000
	openAtOnce  = 16
	firstLogger = idleLoggers // its number: it is open before memory is measured
	// settleTime is how long processes may take to give memory back.
	settleTime = 2 * time.Second
	starts     = 10

	perLogger = "bytes/logger"
	opens     = "opens/s"
	startTime = "start"
)

// idleScenario has many loggers that logged once.
func idleScenario() *scenario {
	return &scenario{
		name: "idle loggers", rows: []int{11}, maxRounds: 3,
		contenders: []contender{{ours, idle}},
		judge: func(m *measured) []verdict {
			return []verdict{
				m.limit(11, "10,000 idle loggers: memory of both processes", perLogger, ours, 8<<10, true),
				m.limit(11, "the same: loggers opened", opens, ours, 5000, false),
			}
		},
	}
}

func idle(ctx context.Context, j *job) (s sample, err error) {
	r, err := newRig(j, "discard", host.Config{})
	if err != nil {
		return nil, err
	}
	defer func() { err = r.close(err) }()
	loggers := make([]host.Logger, idleLoggers+1)
	open := func(i int) (err error) {
		loggers[i], err = r.open(ctx, fmt.Sprint("bench", i), nil)
		return err
	}
	in := newLines(lineBytes, time.Microsecond)
	if err := errors.Join(open(firstLogger), logOnce(in, loggers[firstLogger:])); err != nil {
		return nil, err
	}
	before, err := r.memory()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	var g errgroup.Group
	g.SetLimit(openAtOnce)
	for i := range idleLoggers {
		g.Go(func() error { return open(i) })
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	took := time.Since(began)
	if err := logOnce(in, loggers); err != nil {
		return nil, err
	}
	after, err := r.memory()
	return sample{
		perLogger: float64(after-before) / idleLoggers,
		opens:     idleLoggers / took.Seconds(),
	}, err
}

// logOnce logs one line on each logger and waits until all are acknowledged.
func logOnce(in *lines, loggers []host.Logger) error {
	for _, l := range loggers {
		line, at := in.next()
		if l == nil {
			return errors.New("a logger is not open")
		}
		if err := send(l, line, at); err != nil {
			return err
		}
	}
	for _, l := range loggers {
		if err := settled(l); err != nil {
			return err
		}
	}
	return nil
}

// memory returns what both processes use, once they are at rest. This process
// gives back what it does not use; the driver does what it does.
func (r *rig) memory() (int64, error) {
	pid, err := r.pid()
	if err != nil {
		return 0, err
	}
	time.Sleep(settleTime)
	runtime.GC() // after the first of two, what pools hold is still kept
	debug.FreeOSMemory()
	host, err := proc.Memory(proc.Self)
	if err != nil {
		return 0, err
	}
	driver, err := proc.Memory(pid)
	return host + driver, err
}

// startScenario times the way from nothing to the first acknowledged message.
func startScenario() *scenario {
	return &scenario{
		name: "start", rows: []int{12},
		contenders: []contender{{ours, start}},
		judge: func(m *measured) []verdict {
			return []verdict{m.limit(12, "host.New to the first acknowledged message", startTime, ours, 30e6, true)}
		},
	}
}

func start(ctx context.Context, j *job) (sample, error) {
	var times []float64
	for range starts {
		took, err := startOnce(ctx, j)
		if err != nil {
			return nil, err
		}
		times = append(times, float64(took))
	}
	return sample{startTime: median(times)}, nil
}

func startOnce(ctx context.Context, j *job) (took time.Duration, err error) {
	began := time.Now()
	r, err := newRig(j, "discard", host.Config{})
	if err != nil {
		return 0, err
	}
	defer func() { err = r.close(err) }()
	l, err := r.open(ctx, "bench", nil)
	if err != nil {
		return 0, err
	}
	line, at := newLines(lineBytes, time.Microsecond).next()
	if err := errors.Join(send(l, line, at), settled(l)); err != nil {
		return 0, err
	}
	return time.Since(began), nil
}
