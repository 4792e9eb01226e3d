package main

import (
	"context"
	"runtime"
	"time"

	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/shared/logdriver"
)

const (
	logWindow   = 1000 // messages of which the time is taken together
	logWindows  = 1000 // at scale 1
	logTime     = "ns/Log"
	allocations = "allocations/Log"
)

// logScenario times Log itself while the spool is being drained.
func logScenario() *scenario {
	contending := func(name string, dir bool) contender {
		return contender{name, func(ctx context.Context, j *job) (sample, error) {
			var cfg host.Config
			if dir {
				cfg.Spool.Dir = spoolDir(j)
			}
			return timeLog(ctx, j, cfg)
		}}
	}
	return &scenario{
		name: "Log", rows: []int{9},
		contenders: []contender{contending(ours, false), contending(spooled, true)},
		judge: func(m *measured) []verdict {
			return []verdict{
				// What a batch allocates is shared by its messages.
				m.limit(9, "Log: allocations, those of sending included", allocations, ours, 0.1, true),
				m.limit(9, "Log: time", logTime, ours, 150, true),
				m.limit(9, "the same with a spool directory", logTime, spooled, 300, true),
				m.limit(9, "the same: allocations", allocations, spooled, 0.1, true),
			}
		},
	}
}

// timeLog takes the median over windows in which no Log had to wait for room.
func timeLog(ctx context.Context, j *job, cfg host.Config) (s sample, err error) {
	r, err := newRig(j, "discard", cfg)
	if err != nil {
		return nil, err
	}
	defer func() { err = r.close(err) }()
	l, err := r.open(ctx, "bench", nil)
	if err != nil {
		return nil, err
	}
	if cfg.Spool.Dir != "" {
		if err := checkSpool(j); err != nil {
			return nil, err
		}
	}
	in := newLines(lineBytes, time.Microsecond)
	batch := make([]*logdriver.Message, logWindow)
	var times, allocs []float64
	for range max(int(logWindows*j.Scale), 100) {
		for i := range batch {
			line, at := in.next()
			m := logdriver.NewMessage()
			m.Line = append(m.Line, line...)
			m.Source, m.Timestamp = source, at
			batch[i] = m
		}
		waits := l.Stats().Waits
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		began := time.Now()
		for _, m := range batch {
			if err := l.Log(m); err != nil {
				return nil, err
			}
		}
		took := time.Since(began)
		runtime.ReadMemStats(&after)
		if l.Stats().Waits == waits {
			times = append(times, float64(took)/logWindow)
			allocs = append(allocs, float64(after.Mallocs-before.Mallocs)/logWindow)
		}
	}
	return sample{logTime: median(times), allocations: median(allocs)}, nil
}
