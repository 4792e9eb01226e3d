//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/logplug/logplug/host"
)

// envLife turns a process of this program into a host; its value is a
// lifeConfig.
const envLife = "LOGPLUG_CHAOS_LIFE"

// What a host of the storm allows itself. The bounds are tight, so that spools
// fill up and what hangs is replaced within a life.
const (
	hostBytes    = 48 << 20
	logLimit     = 3 * time.Second
	healthLimit  = time.Second
	closeLimit   = 60 * time.Second
	probeLimit   = 45 * time.Second
	samplePeriod = 250 * time.Millisecond
)

// exitTrouble is how a host process exits that could not do all it should; a
// panic has another code.
const exitTrouble = 3

// life is one host process.
type life struct {
	cfg  lifeConfig
	host *host.Host

	mu  sync.Mutex // guards out
	out *json.Encoder
}

// live is the main function of a host process. It returns the exit code.
func live(text string, in io.Reader, out io.Writer) int {
	l := &life{out: json.NewEncoder(out)}
	if err := json.Unmarshal([]byte(text), &l.cfg); err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		return 2
	}
	if err := l.run(in); err != nil {
		fmt.Fprintln(os.Stderr, "chaos host:", err)
		return exitTrouble
	}
	return 0
}

func (l *life) run(in io.Reader) error {
	logger := hclog.NewInterceptLogger(&hclog.LoggerOptions{Output: os.Stderr, Level: hclog.Info})
	found := &losses{counts: make(map[string]uint64)}
	logger.RegisterSink(found)
	h, err := host.New(host.Config{
		PluginDirs:   []string{l.cfg.Plugins},
		SocketParent: l.cfg.Sockets,
		Logger:       logger,
		Env:          []string{l.cfg.Mark},
		Spool:        host.SpoolConfig{Dir: l.cfg.Spool, LoggerBytes: host.MinSpoolBytes, HostBytes: hostBytes},
		Timeouts:     host.Timeouts{Log: logLimit, Health: healthLimit, Close: closeLimit},
	})
	if err != nil {
		return err
	}
	logger.DeregisterSink(found)
	l.host = h
	l.say(report{Say: sayReady, Damaged: found.export()})

	stop := make(chan struct{})
	var sampling sync.WaitGroup
	sampling.Go(func() { l.sampleUntil(stop) })
	err = l.obey(in)
	close(stop)
	sampling.Wait()

	ctx, cancel := context.WithTimeout(context.Background(), closeLimit)
	defer cancel()
	err = errors.Join(err, h.Close(ctx))
	if problems := unbalanced(h.Stats()); len(problems) > 0 {
		l.say(report{Say: sayBroken, Problems: problems})
	}
	return err
}

// obey does what the conductor says until it says no more.
func (l *life) obey(in io.Reader) error {
	var current *scene
	defer func() {
		if current != nil {
			current.abandon()
		}
	}()
	for lines := bufio.NewScanner(in); lines.Scan(); {
		var c command
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			return fmt.Errorf("command %q: %w", lines.Text(), err)
		}
		switch c.Do {
		case doRound:
			var err error
			if current, err = l.begin(c); err != nil {
				return err
			}
		case doSettle:
			if current == nil {
				return errors.New("nothing to settle")
			}
			r := current.settle()
			current = nil
			if c.Rest {
				r.Sample = l.rest()
			}
			l.say(r)
		case doQuit:
			return nil
		}
	}
	return nil
}

// say reports to the conductor. If that is gone, stdin ends too.
func (l *life) say(r report) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.out.Encode(r)
}

// sampleUntil reports what the process uses, and every balance that does not
// add up.
func (l *life) sampleUntil(stop <-chan struct{}) {
	tick := time.NewTicker(samplePeriod)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-stop:
			return
		}
		st := l.host.Stats()
		if problems := unbalanced(st); len(problems) > 0 {
			l.say(report{Say: sayBroken, Problems: problems})
		}
		s, err := takeSample(st)
		if err != nil {
			l.say(report{Say: sayBroken, Problems: []string{err.Error()}})
			continue
		}
		l.say(report{Say: saySample, Sample: s, Dropped: dropped(st)})
	}
}

// What it takes to see a host at rest: others may replace a driver's binary just then.
const (
	restSamples = 10
	restPeriod  = 100 * time.Millisecond
)

// rest says what the host uses while it has no loggers.
func (l *life) rest() *sample {
	var least *sample
	for range restSamples {
		pause(context.Background(), restPeriod)
		s, err := takeSample(l.host.Stats())
		switch {
		case err != nil: // the next sample of sampleUntil tells
		case least == nil:
			least = s
		default:
			s.Goroutines, s.Files = min(s.Goroutines, least.Goroutines), min(s.Files, least.Files)
			least = s
		}
	}
	return least
}

// unbalanced returns the loggers whose counters do not add up, and the drivers with
// all that their loggers have counted.
func unbalanced(st host.Stats) (problems []string) {
	add := func(problem string) {
		if problem != "" {
			problems = append(problems, problem)
		}
	}
	for _, d := range st.Drivers {
		var spooled host.Count
		for _, l := range d.Loggers {
			spooled.Add(l.Spooled)
			add(balance("logger "+l.Logger, l.Totals(), l.Spooled))
		}
		add(balance("driver "+d.Driver, d.Totals, spooled))
	}
	return problems
}

func balance(whose string, c host.Totals, spooled host.Count) string {
	sum := spooled
	for _, part := range []host.Count{c.Acked, c.Dropped, c.Failed, c.Left} {
		sum.Add(part)
	}
	if sum == c.Accepted {
		return ""
	}
	return fmt.Sprintf("%s: accepted %v, but acked %v + dropped %v + failed %v + left %v + spooled %v = %v",
		whose, c.Accepted, c.Acked, c.Dropped, c.Failed, c.Left, spooled, sum)
}

// dropped returns what loggers count as dropped for other reasons than damage.
func dropped(st host.Stats) map[string]uint64 {
	counts := make(map[string]uint64)
	for _, d := range st.Drivers {
		for _, l := range d.Loggers {
			if n := l.Dropped.Messages - l.DroppedBy[host.DropDamaged].Messages; n > 0 {
				counts[l.Logger] = n
			}
		}
	}
	return counts
}
