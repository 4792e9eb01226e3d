//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"
)

// event is one blow. It returns false if there was nothing to hit.
type event struct {
	weight int
	strike func(*lane) bool
}

// events are what befalls a lane while its host lives.
func events() []event {
	return []event{
		{70, (*lane).killDriver},
		{8, (*lane).termDriver},
		{4, (*lane).stopDriver},
		{6, (*lane).stopDriverBriefly},
		{4, (*lane).upgrade},
		{4, (*lane).fillDriverDisk},
		{2, (*lane).fillHostDisk},
		{4, (*lane).failSinks},
		{3, (*lane).stopHost},
	}
}

// choose picks an event by its weight.
func choose(all []event, rnd *rand.Rand) event {
	sum := 0
	for _, e := range all {
		sum += e.weight
	}
	n := rnd.IntN(sum)
	for _, e := range all {
		if n -= e.weight; n < 0 {
			return e
		}
	}
	return all[0]
}

// undo ends what an event has begun.
type undo struct {
	at time.Time
	do func()
}

var errInterrupted = errors.New("interrupted")

// storm lasts for one round. A host is there when it is over.
func (l *lane) storm(ctx context.Context) error {
	all := events()
	end := time.Now().Add(l.plan.round)
	over := func(struck int) bool {
		if l.plan.events > 0 {
			return struck >= l.plan.events
		}
		return time.Now().After(end)
	}
	struck := 0
	for {
		if err := l.ensureHost(ctx); err != nil {
			return err
		}
		death := time.Now().Add(l.around(l.plan.life))
		for !over(struck) && (l.steady || time.Now().Before(death)) {
			if !l.wait(ctx, l.around(l.interval())) {
				return errInterrupted
			}
			if choose(all, l.rnd).strike(l) {
				struck++
			}
		}
		if over(struck) {
			return nil
		}
		if err := l.endHost(ctx); err != nil {
			return err
		}
		struck++
	}
}

func (l *lane) interval() time.Duration {
	if l.steady {
		return l.plan.gentle
	}
	return l.plan.interval
}

// around returns a random duration with the given mean.
func (l *lane) around(mean time.Duration) time.Duration {
	return min(time.Duration(l.rnd.ExpFloat64()*float64(mean)), 5*mean)
}

// wait lets time pass, and ends what is to be ended by then.
func (l *lane) wait(ctx context.Context, d time.Duration) bool {
	for end := time.Now().Add(d); ; {
		now := time.Now()
		for i := 0; i < len(l.undo); {
			if u := l.undo[i]; now.After(u.at) {
				l.undo = append(l.undo[:i], l.undo[i+1:]...)
				u.do()
			} else {
				i++
			}
		}
		if !now.Before(end) {
			return ctx.Err() == nil
		}
		if !pause(ctx, min(end.Sub(now), 20*time.Millisecond)) {
			return false
		}
	}
}

func (l *lane) later(d time.Duration, do func()) {
	l.undo = append(l.undo, undo{time.Now().Add(d), do})
}

// calm ends everything that has begun.
func (l *lane) calm() {
	for _, u := range l.undo {
		u.do()
	}
	l.undo = nil
}

// ensureHost makes sure that a host plays the round. Most hosts have opened all
// their loggers before the storm goes on.
func (l *lane) ensureHost(ctx context.Context) error {
	for l.victim == nil {
		if err := l.begin(); err != nil {
			return err
		}
		if l.dirtied || l.steady || l.rnd.IntN(8) > 0 {
			if err := l.ready(); err != nil {
				return err
			}
			break
		}
		// This one is killed while it starts. What it finds damaged would not be told.
		if !l.wait(ctx, l.around(40*time.Millisecond)) {
			return errInterrupted
		}
		if err := l.killHost("while it starts"); err != nil {
			return err
		}
	}
	if err := l.enter(); err != nil {
		return err
	}
	if !l.steady && l.rnd.IntN(8) == 0 {
		return nil
	}
	_, err := l.victim.await(sayWriting, writeLimit)
	return l.because(err)
}

// endHost kills the host, or lets it end in good order, and may damage its
// spool.
func (l *lane) endHost(ctx context.Context) error {
	if l.rnd.IntN(12) == 0 {
		return l.quitHost()
	}
	// To damage messages, there must be some.
	damaging := l.rnd.IntN(l.plan.flipEvery) == 0
	if damaging {
		l.fillSpool(ctx)
	}
	if err := l.killHost(""); err != nil {
		return err
	}
	// Mostly the next host comes while drivers of this one are still dying.
	if l.rnd.IntN(4) == 0 {
		if err := l.checkCleared(); err != nil {
			return err
		}
	}
	if damaging {
		return l.damage()
	}
	return nil
}

// fillSpool stops all drivers for a moment, and has the sinks fail beyond the
// host's life.
func (l *lane) fillSpool(ctx context.Context) {
	host := l.victim.pid()
	for _, p := range driversOf(host) {
		_ = p.send(host, unix.SIGSTOP)
	}
	l.failSinks()
	l.wait(ctx, l.around(150*time.Millisecond))
}

func (l *lane) killHost(when string) error {
	l.say("host killed %s", when)
	err := l.victim.kill()
	if err == nil && !l.victim.wasKilled() {
		err = errEnded
	}
	err = l.because(err)
	l.ended()
	if err != nil {
		return err
	}
	l.fig.add(hostKills, 1)
	return nil
}

// quitHost closes a host in the middle of writing: it delivers what it has, and
// says so if a driver that is stopped does not let it.
func (l *lane) quitHost() error {
	l.say("host closed")
	l.calm()
	err := l.victim.quit(closeLimit + quitLimit)
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() == exitTrouble {
		l.say("host closed with an error: it is in its log")
		err = nil
	}
	if err != nil {
		err = errors.Join(l.because(fmt.Errorf("%w: %w", errEnded, err)), l.victim.kill())
	}
	l.ended()
	if err != nil {
		return err
	}
	l.fig.add(hostQuits, 1)
	return l.checkCleared()
}

// damage inverts bits in the spool, which no host uses.
func (l *lane) damage() error {
	n, where, err := flipBits(l.path("spool/messages"), l.rnd)
	if err != nil {
		return err
	}
	l.say("spool:%s", where)
	l.fig.add(flippedBits, uint64(n))
	l.dirtied = n > 0
	return nil
}

// driver picks a driver that runs.
func (l *lane) driver() (proc, bool) {
	all := driversOf(l.victim.pid())
	if len(all) == 0 {
		return proc{}, false
	}
	return all[l.rnd.IntN(len(all))], true
}

// signal sends sig to a driver.
func (l *lane) signal(sig unix.Signal, what string, count figure) (p proc, ok bool) {
	p, ok = l.driver()
	if !ok || p.send(l.victim.pid(), sig) != nil {
		return p, false
	}
	l.say("driver %s (%d) %s", p.name, p.pid, what)
	l.fig.add(count, 1)
	return p, true
}

func (l *lane) killDriver() bool {
	_, ok := l.signal(unix.SIGKILL, "killed", driverKills)
	return ok
}

func (l *lane) termDriver() bool {
	_, ok := l.signal(unix.SIGTERM, "asked to end", driverTerms)
	return ok
}

// stopDriver leaves a driver stopped: its host has to replace it.
func (l *lane) stopDriver() bool {
	_, ok := l.signal(unix.SIGSTOP, "stopped for good", driverStops)
	return ok
}

func (l *lane) stopDriverBriefly() bool {
	p, ok := l.signal(unix.SIGSTOP, "stopped", driverStops)
	if !ok {
		return false
	}
	host := l.victim.pid()
	l.later(l.around(400*time.Millisecond), func() { _ = p.send(host, unix.SIGCONT) })
	return true
}

// stopHost stops the host for a while, after which it must not take its drivers
// for dead ones for ever.
func (l *lane) stopHost() bool {
	v := l.victim
	if v.cmd.Process.Signal(unix.SIGSTOP) != nil {
		return false
	}
	l.say("host stopped")
	l.fig.add(hostStops, 1)
	l.later(l.around(300*time.Millisecond), func() { _ = v.cmd.Process.Signal(unix.SIGCONT) })
	return true
}

// upgrade puts another binary in the place of a driver's.
func (l *lane) upgrade() bool {
	name := l.drivers.names[l.rnd.IntN(len(l.drivers.names))]
	l.say("driver %s replaced on the disk", name)
	if err := l.drivers.replace(name, l.rnd.Uint64()); err != nil {
		l.failed("replacing driver %s: %v", name, err)
		return false
	}
	l.fig.add(upgrades, 1)
	return true
}

// fillDriverDisk makes a driver's files stop growing at some size, in the
// middle of a write for one of them.
func (l *lane) fillDriverDisk() bool {
	p, ok := l.driver()
	if !ok {
		return false
	}
	limit := l.someSize() + uint64(l.rnd.IntN(2000))
	if limitFiles(p.pid, limit) != nil { // of a number read a moment ago
		return false
	}
	l.say("driver %s (%d): disk full at %d bytes", p.name, p.pid, limit)
	l.fig.add(fullDisks, 1)
	host := l.victim.pid()
	l.later(l.around(700*time.Millisecond), func() { l.freeDisk(host) })
	return true
}

// freeDisk lifts the limits of a host, unless that is gone, and of its drivers.
func (l *lane) freeDisk(host int) {
	if l.victim == nil || l.victim.pid() != host {
		return
	}
	_ = limitFiles(host, noLimit)
	for _, pid := range pids() { // one that is about to become a driver has no name yet
		if parentOf(pid) == host {
			_ = limitFiles(pid, noLimit)
		}
	}
}

// fillHostDisk makes the spool's file stop growing. Drivers that start meanwhile
// inherit that.
func (l *lane) fillHostDisk() bool {
	host := l.victim.pid()
	if limitFiles(host, l.someSize()) != nil {
		return false
	}
	l.say("host: disk full")
	l.fig.add(fullDisks, 1)
	l.later(l.around(500*time.Millisecond), func() { l.freeDisk(host) })
	return true
}

// someSize returns the size that one of the logs has now.
func (l *lane) someSize() uint64 {
	roles := cast(l.roundDir(), l.round, l.plan.scale)
	fi, err := os.Stat(roles[l.rnd.IntN(len(roles))].log)
	if err != nil {
		return 0
	}
	return uint64(fi.Size())
}

// failSinks makes all sinks refuse for a while.
func (l *lane) failSinks() bool {
	file := failFile(l.roundDir())
	if os.WriteFile(file, []byte("the sink is down"), 0o600) != nil {
		return false
	}
	l.say("sinks fail")
	l.fig.add(sinkFailures, 1)
	l.later(l.around(500*time.Millisecond), func() { _ = os.Remove(file) })
	return true
}
