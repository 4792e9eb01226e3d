package drivertest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/shared/logdriver"
)

func deliveryRules() []Rule {
	return []Rule{
		{
			ID: "delivery/kill", Needs: NeedReads, EachSet: true,
			Text:  "When the process is killed in the middle, and the host sends again what was not acknowledged, nothing is lost and the order is kept; nothing is there twice if Open reports the last sequence.",
			check: checkKilled,
		},
		{
			ID:    "delivery/kill-idle",
			Text:  "When the process is killed while nothing is logged, its loggers go on in the next one.",
			check: checkKilledIdle,
		},
		{
			ID: "delivery/acknowledged", Needs: NeedReads | NeedSocket,
			Text:  "What was acknowledged is there after the process was killed.",
			check: checkAcknowledgedKept,
		},
		{
			ID: "delivery/last-seq", Needs: NeedReads | NeedSocket,
			Text:  "The last sequence that Open reports covers what was acknowledged, nothing that is not there, and no other stream.",
			check: checkLastSeq,
		},
	}
}

// killDriver kills the host's driver process and waits for the next one.
func (e *env) killDriver(ctx context.Context) error {
	pid := e.pid()
	p, err := os.FindProcess(pid)
	if err == nil && pid != 0 {
		err = p.Kill()
	}
	if err != nil {
		return fmt.Errorf("kill the driver's process %d: %w", pid, err)
	}
	deadline := time.Now().Add(e.opts.Wait)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if now := e.pid(); now != 0 && now != pid {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("no process has taken the place of the killed one, %d, within %v", pid, e.opts.Wait)
		}
	}
}

func checkKilled(ctx context.Context, e *env) error {
	n := e.scaled(1500)
	want := numbered(n)
	var log logdriver.Info
	err := e.with(ctx, func(l host.Logger, info logdriver.Info) error {
		log = info
		for i := range want {
			if err := logAll(l, want[i:i+1]); err != nil {
				return err
			}
			if i == n/4 || i == n/2 || i == n*3/4 {
				if err := e.killDriver(ctx); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	got, err := e.readAll(ctx, e.reopened(log), logdriver.ReadConfig{Tail: -1})
	if err != nil {
		return err
	}
	exact, err := e.sequences(ctx)
	if err != nil {
		return err
	}
	// A record that the kill tore apart may be reported as damage.
	var whole []record
	for _, r := range got {
		if r.err == nil {
			whole = append(whole, r)
		}
	}
	if exact {
		return sameLines(whole, want)
	}
	return resent(whole, want)
}

// resent checks that got is want, with stretches that were sent again: each
// begins at a message that was sent before, and goes on in order.
func resent(got, want []record) error {
	index := make(map[string]int, len(want))
	for i := range want {
		index[want[i].text()] = i
	}
	last, highest := -1, -1
	for i, r := range got {
		n, ok := index[r.line]
		switch {
		case !ok:
			return fmt.Errorf("message %d, %s, was never logged", i+1, shown(r.line))
		case n > last+1 && n > highest+1:
			return fmt.Errorf("message %d is %s, but %s was not there before", i+1, shown(r.line), shown(want[highest+1].text()))
		case n > last+1:
			return fmt.Errorf("message %d is %s, after %s: not in order", i+1, shown(r.line), shown(want[last].text()))
		}
		last, highest = n, max(highest, n)
	}
	if last != len(want)-1 {
		return fmt.Errorf("the last of %d messages is %d of %d", len(got), last+1, len(want))
	}
	return nil
}

func checkKilledIdle(ctx context.Context, e *env) error {
	const n = 100
	return e.with(ctx, func(l host.Logger, info logdriver.Info) error {
		want := numbered(n)
		if err := logAll(l, want[:n/2]); err != nil {
			return err
		}
		if err := e.flush(ctx, l); err != nil {
			return err
		}
		if err := e.killDriver(ctx); err != nil {
			return err
		}
		if err := logAll(l, want[n/2:]); err != nil {
			return err
		}
		if err := e.shut(ctx, l); err != nil {
			return err
		}
		if s := l.Stats(); s.Acked.Messages != n || s.Failed.Messages != 0 {
			return fmt.Errorf("of %d messages %d were acknowledged and %d failed", n, s.Acked.Messages, s.Failed.Messages)
		}
		if !e.desc.Capability.ReadLogs {
			return nil
		}
		return e.expect(ctx, e.reopened(info), logdriver.ReadConfig{Tail: -1}, want)
	})
}

// writeKilled writes n messages to a new log in a process of its own, kills that
// as soon as they are acknowledged, and returns a fresh process.
func (e *env) writeKilled(ctx context.Context, info logdriver.Info, records []record) (*process, error) {
	p, err := e.start(ctx)
	if err != nil {
		return nil, err
	}
	o, err := p.open(ctx, info)
	if err != nil {
		return nil, err
	}
	w, err := p.openWrite(ctx)
	if err != nil {
		return nil, err
	}
	if err := w.store(ctx, o.GetLogger(), 1, records); err != nil {
		return nil, err
	}
	p.kill()
	return e.start(ctx)
}

func checkAcknowledgedKept(ctx context.Context, e *env) error {
	want, info := numbered(200), e.newInfo()
	p, err := e.writeKilled(ctx, info, want)
	if err != nil {
		return err
	}
	got, err := p.read(ctx, readInfo(info, logdriver.ReadConfig{Tail: -1}))
	return errors.Join(err, sameLines(got, want))
}

// sequences tells whether the driver reports last sequences.
func (e *env) sequences(ctx context.Context) (bool, error) {
	if !e.canSpeak() {
		return false, nil
	}
	info := e.newInfo()
	info.Stream = "stream-a"
	p, err := e.writeKilled(ctx, info, numbered(3))
	if err != nil {
		return false, err
	}
	o, err := p.open(ctx, info)
	return o.GetLastSeq() > 0, err
}

func checkLastSeq(ctx context.Context, e *env) error {
	want, info := numbered(150), e.newInfo()
	info.Stream = "stream-a"
	p, err := e.writeKilled(ctx, info, want[:100])
	if err != nil {
		return err
	}
	o, err := p.open(ctx, info)
	if err != nil {
		return err
	}
	switch last := o.GetLastSeq(); {
	case last == 0:
		return skip("the driver does not report last sequences")
	case last != 100:
		return fmt.Errorf("it is %d, while 100 messages were sent and acknowledged", last)
	}
	w, err := p.openWrite(ctx)
	if err != nil {
		return err
	}
	if err := w.store(ctx, o.GetLogger(), 101, want[100:]); err != nil {
		return err
	}
	if err := p.closeLogger(ctx, o.GetLogger()); err != nil {
		return err
	}
	other := info
	other.Stream = "stream-b"
	if o, err = p.open(ctx, other); err != nil {
		return err
	}
	if o.GetLastSeq() != 0 {
		return fmt.Errorf("of a stream that was never written it is %d", o.GetLastSeq())
	}
	if err := p.closeLogger(ctx, o.GetLogger()); err != nil {
		return err
	}
	got, err := p.read(ctx, readInfo(info, logdriver.ReadConfig{Tail: -1}))
	return errors.Join(err, sameLines(got, want))
}

// trimmed is a driver's text for an error.
func trimmed(s string) string { return shown(strings.TrimSpace(s)) }
