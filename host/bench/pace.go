package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/daemon/logger"
	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/host/bench/internal/direct"
	"github.com/logplug/logplug/host/bench/internal/dockerfifo"
	"github.com/logplug/logplug/host/bench/internal/proc"
	"github.com/logplug/logplug/shared/logdriver"
)

const (
	pacedRate      = 10_000 // messages a second over all loggers
	pacedPause     = int64(time.Second) / pacedRate
	pacedJitter    = pacedPause / 10
	trickleLoggers = 1000
	latencyLoggers = 100
	trickleSeconds = 10
	latencySeconds = 3
	latencyTurns   = 3         // many and short: what a neighbour does to the tail lasts for some seconds
	pacedWarmup    = pacedRate // messages that are not measured

	p50 = "p50"
	p99 = "p99"
)

// fan is a set of loggers.
type fan struct {
	send  func(logger int, line []byte, at time.Time) error
	wait  func(total int) error
	pids  []int
	close func(error) error
}

// pace calls emit n times, at a steady rate, for loggers that take turns in an
// order of chance. A thread of its own makes it exact: timers of an idle Go
// process may be late by a millisecond, and messages would come in bundles. The pauses vary
// a little: else the kernel's tick, too, which comes once in so many of them, would meet the same part of
// each message's way for as long as a process lives, or never.
func pace(n, loggers int, emit func(logger int) error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := proc.ExactTimers(); err != nil {
		return err
	}
	chance := rand.New(rand.NewPCG(1, 2))
	turns := chance.Perm(loggers)
	due := proc.Monotonic()
	for i := range n {
		due += pacedPause - pacedJitter + chance.Int64N(2*pacedJitter)
		proc.SleepUntil(due)
		if err := emit(turns[i%loggers]); err != nil {
			return err
		}
	}
	return nil
}

// metered paces n messages and returns the CPU time that all processes spend on
// each, the cost of pacing included.
func (f *fan) metered(n, loggers int, emit func(logger int) error) (float64, error) {
	meter, err := proc.NewMeter(f.pids...)
	if err != nil {
		return 0, err
	}
	if err := pace(n, loggers, emit); err != nil {
		return 0, err
	}
	used, err := meter.Used()
	return float64(used) / float64(n), err
}

// paced measures a fan and returns the CPU time a message. What pacing costs
// when nothing is logged is no part of it. With latency the lines carry the time
// of sending.
func (f *fan) paced(j *job, loggers int, latency bool) (cpuTime float64, err error) {
	in := newLines(lineBytes, time.Microsecond)
	measuring := false
	emit := func(i int) error {
		line, at := in.next()
		if latency {
			stamp(line, measuring)
		}
		return f.send(i, line, at)
	}
	if err := pace(pacedWarmup, loggers, emit); err != nil {
		return 0, err
	}
	if err := f.wait(pacedWarmup); err != nil {
		return 0, err
	}
	alone, err := f.metered(pacedWarmup, loggers, func(int) error { return nil })
	if err != nil {
		return 0, err
	}
	measuring = true
	seconds := trickleSeconds
	if latency {
		seconds = latencySeconds
	}
	n := max(int(float64(seconds)*j.Scale), 2) * pacedRate
	used, err := f.metered(n, loggers, emit)
	if err != nil {
		return 0, err
	}
	return used - alone, f.wait(pacedWarmup + n)
}

func fanOurs(ctx context.Context, j *job, driver string, n int, config func(i int) map[string]string) (*fan, error) {
	r, err := newRig(j, driver, host.Config{})
	if err != nil {
		return nil, err
	}
	loggers := make([]host.Logger, n)
	for i := range loggers {
		if loggers[i], err = r.open(ctx, fmt.Sprint("bench", i), config(i)); err != nil {
			return nil, r.close(err)
		}
	}
	pid, err := r.pid()
	if err != nil {
		return nil, r.close(err)
	}
	return &fan{
		send: func(i int, line []byte, at time.Time) error { return send(loggers[i], line, at) },
		wait: func(int) error {
			for _, l := range loggers {
				if err := settled(l); err != nil {
					return err
				}
			}
			return nil
		},
		pids: []int{pid}, close: r.close,
	}, nil
}

func fanFIFO(h *dockerfifo.Host, n int) (*fan, error) {
	loggers := make([]logger.Logger, n)
	for i := range loggers {
		var err error
		if loggers[i], err = h.Open(fmt.Sprint("bench", i)); err != nil {
			return nil, err
		}
	}
	return &fan{
		send:  func(i int, line []byte, at time.Time) error { return sendDocker(loggers[i], line, at) },
		wait:  h.Wait,
		pids:  []int{h.Pid()},
		close: func(err error) error { h.Close(); return err },
	}, nil
}

// fanDirect is the prototype of a path beside gRPC. With a file it measures
// latencies.
func fanDirect(j *job, n int, file string) (*fan, error) {
	s, err := direct.Start(j.Scratch, n, func(socket string) *exec.Cmd { return command(roleDirect, socket, file) })
	if err != nil {
		return nil, err
	}
	return &fan{
		send: func(i int, line []byte, at time.Time) error {
			m := logdriver.NewMessage()
			defer logdriver.PutMessage(m)
			m.Borrow(line)
			m.Source, m.Timestamp = source, at
			return s.Send(i, m)
		},
		wait:  s.Wait,
		pids:  []int{s.Pid()},
		close: func(err error) error { return errors.Join(err, s.Close()) },
	}, nil
}

func fanDirectLatency(_ context.Context, j *job, file string) (*fan, error) {
	return fanDirect(j, latencyLoggers, file)
}

func fanBare(ctx context.Context, j *job, file string) (*fan, error) {
	p, err := startBare(ctx, j, file)
	if err != nil {
		return nil, err
	}
	return &fan{
		send:  func(_ int, line []byte, _ time.Time) error { return p.Send(line) },
		wait:  p.Wait,
		pids:  []int{p.Pid()},
		close: func(err error) error { return errors.Join(err, p.Close()) },
	}, nil
}

// trickleScenario has many quiet loggers.
func trickleScenario() *scenario {
	measure := func(f *fan, j *job) (s sample, err error) {
		defer func() { err = f.close(err) }()
		used, err := f.paced(j, trickleLoggers, false)
		return sample{cpu: used}, err
	}
	return &scenario{
		name: "trickle", rows: []int{8},
		contenders: []contender{
			{ours, func(ctx context.Context, j *job) (sample, error) {
				f, err := fanOurs(ctx, j, "discard", trickleLoggers, func(int) map[string]string { return nil })
				if err != nil {
					return nil, err
				}
				return measure(f, j)
			}},
			{fifo, func(_ context.Context, j *job) (sample, error) {
				h, err := startFIFO(j)
				if err != nil {
					return nil, err
				}
				f, err := fanFIFO(h, trickleLoggers)
				if err != nil {
					return nil, err
				}
				return measure(f, j)
			}},
			{socket, func(_ context.Context, j *job) (sample, error) {
				f, err := fanDirect(j, trickleLoggers, "")
				if err != nil {
					return nil, err
				}
				return measure(f, j)
			}},
		},
		judge: func(m *measured) []verdict {
			return []verdict{m.against(8, "1,000 loggers at 10 messages/s, CPU of all processes", cpu, ours, fifo, 1.0/2, true),
				m.informally(8, "the prototype's socket, a request a message", cpu, socket, fifo),
			}
		},
	}
}

// latencyScenario has loggers whose receivers take the time.
func latencyScenario() *scenario {
	return &scenario{
		name: "latency", rows: []int{10}, turns: latencyTurns,
		contenders: []contender{{ours, ourLatency}, {fifo, fifoLatency}, {bare, latencyOf(fanBare)}, {socket, latencyOf(fanDirectLatency)}},
		judge: func(m *measured) []verdict {
			return []verdict{
				m.against(10, "latency at 10,000 messages/s over 100 loggers, p50", p50, ours, fifo, 2, true),
				m.against(10, "the same, p99", p99, ours, fifo, 1, true),
				m.informally(10, "the same, CPU of all processes", cpu, ours, fifo),
				m.informally(10, "gRPC alone, p50", p50, bare, fifo),
				m.informally(10, "gRPC alone, p99", p99, bare, fifo),
				m.informally(10, "the prototype's socket, p50", p50, socket, fifo),
				m.informally(10, "the prototype's socket, p99", p99, socket, fifo),
			}
		},
	}
}

func ourLatency(ctx context.Context, j *job) (sample, error) {
	file := func(i int) string { return filepath.Join(j.Scratch, fmt.Sprint("latency", i)) }
	f, err := fanOurs(ctx, j, "latency", latencyLoggers, func(i int) map[string]string {
		return map[string]string{"file": file(i)}
	})
	if err != nil {
		return nil, err
	}
	used, err := f.paced(j, latencyLoggers, true)
	if err := f.close(err); err != nil {
		return nil, err
	}
	files := make([]string, latencyLoggers)
	for i := range files {
		files[i] = file(i)
	}
	return latenciesIn(used, files...)
}

// latenciesIn reads files with a number of nanoseconds a line. used is the CPU time a message.
func latenciesIn(used float64, files ...string) (sample, error) {
	var all []int64
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		for _, field := range strings.Fields(string(text)) {
			ns, err := strconv.ParseInt(field, 10, 64)
			if err != nil {
				return nil, err
			}
			all = append(all, ns)
		}
	}
	return latencies(used, all)
}

// latencyOf measures the latencies of a fan whose receiver writes them to a file.
func latencyOf(open func(ctx context.Context, j *job, file string) (*fan, error)) func(context.Context, *job) (sample, error) {
	return func(ctx context.Context, j *job) (sample, error) {
		file := filepath.Join(j.Scratch, "latencies")
		f, err := open(ctx, j, file)
		if err != nil {
			return nil, err
		}
		return f.latencies(j, file)
	}
}

// latencies measures those that the receiver writes to a file at its end.
func (f *fan) latencies(j *job, file string) (sample, error) {
	used, err := f.paced(j, latencyLoggers, true)
	if err := f.close(err); err != nil {
		return nil, err
	}
	return latenciesIn(used, file)
}

func fifoLatency(_ context.Context, j *job) (s sample, err error) {
	h, err := startFIFO(j, "latencies")
	if err != nil {
		return nil, err
	}
	defer h.Close()
	f, err := fanFIFO(h, latencyLoggers)
	if err != nil {
		return nil, err
	}
	used, err := f.paced(j, latencyLoggers, true)
	if err != nil {
		return nil, err
	}
	took, err := h.Latencies()
	if err != nil {
		return nil, err
	}
	all := make([]int64, len(took))
	for i, d := range took {
		all[i] = int64(d)
	}
	return latencies(used, all)
}

func latencies(used float64, all []int64) (sample, error) {
	if len(all) < pacedRate {
		return nil, fmt.Errorf("only %d latencies were measured", len(all))
	}
	return sample{cpu: used, p50: float64(percentile(all, 50)), p99: float64(percentile(all, 99))}, nil
}
