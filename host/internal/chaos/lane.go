//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/logplug/logplug/host"
)

// lane is one host after another on the same directories, or a single one if
// the lane is steady. One goroutine runs it.
type lane struct {
	plan    *plan
	name    string
	dir     string
	drivers *drivers
	steady  bool
	rnd     *rand.Rand
	fig     *figures
	log     *log.Logger

	round    int
	lives    int
	victim   *victim           // nil if no host runs
	lost     map[string]uint64 // by logger: what counters name, added up over lives
	undo     []undo
	dirtied  bool // the spool was damaged before this life
	restarts uint64
	rested   []sample // of the host that lives on, after each round
}

// Bounds of what a host may take for something.
const (
	readyLimit  = 30 * time.Second
	writeLimit  = 60 * time.Second
	settleLimit = logLimit + probeLimit + closeLimit + probeLimit
	quitLimit   = 30 * time.Second
	clearLimit  = 10 * time.Second
	verifyLimit = 5 * time.Minute
)

func newLane(p *plan, n int, dir string, d *drivers, fig *figures, logger *log.Logger) *lane {
	l := &lane{
		plan: p, name: fmt.Sprintf("lane%d", n), drivers: d, steady: n == p.storms, fig: fig, log: logger,
		rnd: rand.New(rand.NewPCG(p.seed, uint64(n))), lost: make(map[string]uint64),
	}
	if l.steady {
		l.name = "steady"
	}
	l.dir = filepath.Join(dir, l.name)
	return l
}

func (l *lane) say(format string, args ...any) {
	l.log.Printf("%-6s life %-3d %s", l.name, l.lives, fmt.Sprintf(format, args...))
}

// run plays rounds. What goes wrong ends up in the figures.
func (l *lane) run(ctx context.Context) {
	for l.round = 1; l.plan.goesOn(l.round, l.fig) && !l.fig.failed(); l.round++ {
		if err := l.play(ctx); err != nil {
			l.failed("round %d: %v", l.round, err)
			break
		}
		l.fig.add(rounds, 1)
	}
	if err := l.leave(); err != nil {
		l.failed("at the end: %v", err)
	}
}

func (l *lane) failed(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	l.say("FAILED: %s", text)
	l.fig.fail(l.name + ": " + text)
}

func (l *lane) path(name string) string { return filepath.Join(l.dir, name) }

func (l *lane) roundDir() string { return l.path(fmt.Sprintf("round%d", l.round)) }

// mark is in the environment of all processes of the lane.
func (l *lane) mark() string { return "LOGPLUG_CHAOS_MARK=" + l.dir + "/" }

// play is one round: the storm, the calm after it, and the oracle.
func (l *lane) play(ctx context.Context) error {
	if err := os.MkdirAll(l.roundDir(), 0o700); err != nil {
		return err
	}
	if err := l.storm(ctx); err != nil {
		return err
	}
	l.calm()
	if err := l.settle(); err != nil {
		return err
	}
	if !l.steady {
		if err := l.leave(); err != nil {
			return err
		}
	}
	if err := l.verify(ctx); err != nil {
		return err
	}
	return os.RemoveAll(l.roundDir())
}

// begin starts a host.
func (l *lane) begin() error {
	l.lives++
	v, err := startVictim(lifeConfig{
		Plugins: l.drivers.dir, Spool: l.path("spool"), Sockets: l.path("s"), Mark: l.mark(), Life: l.lives,
	}, l.path("host.log"))
	if err != nil {
		return err
	}
	l.victim = v
	return nil
}

// ready waits until the host has taken up its spool.
func (l *lane) ready() error {
	r, err := l.victim.await(sayReady, readyLimit)
	if err != nil {
		return l.because(err)
	}
	l.dirtied = false
	for name, n := range r.Damaged {
		l.say("logger %s: %d messages are damaged in the spool", name, n)
		l.lost[name] += n
		l.fig.add(damagedLines, n)
	}
	return nil
}

// enter makes the host play the round.
func (l *lane) enter() error {
	return l.because(l.victim.tell(command{
		Do: doRound, Dir: l.roundDir(), Round: l.round, Scale: l.plan.scale, Seed: l.plan.seed,
	}))
}

// because adds the host's last words to an error.
func (l *lane) because(err error) error {
	if err == nil || !errors.Is(err, errEnded) {
		return err
	}
	<-l.victim.done
	words, _ := os.ReadFile(l.path("host.log"))
	return fmt.Errorf("%w: %v; its log ends with:\n%s", err, l.victim.err, words[max(0, len(words)-4000):])
}

// settle makes the host stop writing, probe and close its loggers.
func (l *lane) settle() error {
	if err := l.victim.tell(command{Do: doSettle, Rest: l.steady}); err != nil {
		return l.because(err)
	}
	r, err := l.victim.await(saySettled, settleLimit)
	if err != nil {
		return l.because(err)
	}
	l.fig.raise(slowestProbe, uint64(r.ProbeMillis))
	l.fig.add(refusals, r.Refused)
	l.say("settled: slowest probe %d ms, %d messages sent again", r.ProbeMillis, r.Resent)
	if r.Sample != nil {
		l.rested = append(l.rested, *r.Sample)
		l.say("at rest: %d goroutines, %d open files, after %d restarts", r.Sample.Goroutines, r.Sample.Files, r.Sample.Restarts)
	}
	l.collect()
	if len(r.Problems) > 0 {
		return errors.New(strings.Join(r.Problems, "\n"))
	}
	return nil
}

// collect takes over what the host has reported meanwhile.
func (l *lane) collect() {
	v := l.victim
	v.mu.Lock()
	defer v.mu.Unlock()
	for name, n := range v.dropped {
		l.say("logger %s: %d messages were dropped", name, n)
		l.lost[name] += n
		l.fig.add(droppedLines, n)
	}
	clear(v.dropped)
	for _, p := range v.problems {
		l.failed("%s", p)
	}
	v.problems = nil
	if n := len(v.samples); n > 0 {
		l.fig.add(starts, v.samples[n-1].Restarts-l.restarts)
		l.restarts = v.samples[n-1].Restarts
	}
}

// ended forgets the host, which has ended.
func (l *lane) ended() {
	l.collect()
	l.victim, l.restarts = nil, 0
}

// leave ends the host in good order, and looks whether anything is left.
func (l *lane) leave() error {
	if l.victim == nil {
		return nil
	}
	l.calm()
	err := l.victim.quit(quitLimit + closeLimit)
	if err != nil {
		err = errors.Join(l.because(err), l.victim.kill())
	}
	if l.steady {
		for _, p := range append(growth(l.victim.samples), leaks(l.rested)...) {
			l.failed("%s", p)
		}
	}
	l.ended()
	if err != nil {
		return err
	}
	l.fig.add(hostQuits, 1)
	if err := l.checkCleared(); err != nil {
		return err
	}
	if left := sockets(l.path("s")); len(left) > 0 {
		return fmt.Errorf("left in the directory for sockets: %v", left)
	}
	if left, _ := filepath.Glob(filepath.Join(l.path("spool"), "loggers", "*")); len(left) > 0 {
		return fmt.Errorf("left in the spool's directory: %v", left)
	}
	return nil
}

// checkCleared waits until no process of the lane is left.
func (l *lane) checkCleared() error {
	deadline := time.Now().Add(clearLimit)
	for {
		left := marked(l.mark())
		if len(left) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("processes outlive their host by %v: %s", clearLimit, strings.Join(left, ", "))
		}
		pause(context.Background(), 20*time.Millisecond)
	}
}

// verify reads every log of the round back, with drivers that nobody replaces
// meanwhile: a reading ends with an error when its driver is.
func (l *lane) verify(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, verifyLimit)
	defer cancel()
	h, err := host.New(host.Config{PluginDirs: []string{l.drivers.pristine}, SocketParent: l.path("v")})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close(ctx)) }()
	roles := cast(l.roundDir(), l.round, l.plan.scale)
	led, err := openLedger(filepath.Join(l.roundDir(), ledgerFile), writerCount(roles))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, led.close()) }()
	aside, err := l.deadLetters()
	if err != nil {
		return err
	}
	var total verdict
	for _, r := range roles {
		o := newOracle(r, l.lost[r.name]+aside[r.name])
		if err := readBack(ctx, h, r, o); err != nil {
			return fmt.Errorf("logger %s: reading back: %w", r.name, err)
		}
		total.add(o.conclude(led))
	}
	l.publish(&total)
	if len(total.problems) > 0 {
		return errors.New(strings.Join(total.problems, "\n"))
	}
	return nil
}

// deadLetters counts, by logger, the messages that the lane's hosts took for what
// ends their drivers, and set aside: kills that follow each other closely look like
// that.
func (l *lane) deadLetters() (counts map[string]uint64, err error) {
	counts = make(map[string]uint64)
	path := l.path("spool/dead-letters.jsonl")
	for d, err := range host.ReadDeadLetters(path) {
		if errors.Is(err, os.ErrNotExist) {
			return counts, nil
		}
		if err != nil {
			return nil, err
		}
		counts[d.Info.ContainerName]++
		l.fig.add(setAside, 1)
	}
	return counts, os.Remove(path)
}

func (v *verdict) add(o verdict) {
	v.Lines += o.Lines
	v.Accepted += o.Accepted
	v.Missing += o.Missing
	v.Duplicates += o.Duplicates
	v.Unsure += o.Unsure
	v.problems = append(v.problems, o.problems...)
}

func (l *lane) publish(v *verdict) {
	l.say("round %d: %d accepted, %d read back, %d duplicates, %d missing", l.round, v.Accepted, v.Lines, v.Duplicates, v.Missing)
	l.fig.add(messages, v.Accepted)
	l.fig.add(linesRead, v.Lines)
	l.fig.add(duplicates, v.Duplicates)
	l.fig.add(missing, v.Missing)
	l.fig.add(unsure, v.Unsure)
}
