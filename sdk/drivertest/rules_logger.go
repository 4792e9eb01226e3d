package drivertest

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/shared/logdriver"
)

func loggerRules() []Rule {
	return []Rule{
		{
			ID:    "logger/many",
			Text:  "One process serves many loggers at once, each with a log and an order of its own.",
			check: checkManyLoggers,
		},
		{
			ID: "logger/concurrent", Needs: NeedReads, EachSet: true,
			Text:  "Of two sources that log to one logger at the same time, each keeps its order, and nothing is lost.",
			check: checkConcurrent,
		},
		{
			ID:    "logger/flush",
			Text:  "Flush returns without an error, and logging goes on afterwards.",
			check: checkFlush,
		},
		{
			ID:    "logger/churn",
			Text:  "Loggers are opened and closed while others are written; the process stays the same.",
			check: checkChurn,
		},
		{
			ID: "logger/busy", Needs: NeedSocket,
			Text:  "Open of a log that another process writes is refused with the error of kind LOG_BUSY, until that one has closed it; or the log takes the messages of both.",
			check: checkBusy,
		},
	}
}

// pid returns the number of the driver's process, 0 if none runs.
func (e *env) pid() int {
	for _, d := range e.host.Stats().Drivers {
		if d.Driver == e.name {
			return d.Pid
		}
	}
	return 0
}

func checkManyLoggers(ctx context.Context, e *env) error {
	const loggers, messages = 100, 50
	infos := make([]logdriver.Info, loggers)
	open := make([]host.Logger, loggers)
	for i := range infos {
		infos[i] = e.newInfo()
		l, err := e.open(ctx, infos[i])
		if err != nil {
			return fmt.Errorf("logger %d: %w", i+1, err)
		}
		open[i] = l
	}
	if drivers := e.host.Stats().Drivers; len(drivers) != 1 || drivers[0].Restarts != 0 {
		return fmt.Errorf("not one process serves all of them: %+v", drivers)
	}
	own := func(i int) []record {
		records := numbered(messages)
		for j := range records {
			records[j].line = fmt.Sprintf("logger %d %s", i, records[j].line)
		}
		return records
	}
	var g errgroup.Group
	for i, l := range open {
		g.Go(func() error {
			if err := logAll(l, own(i)); err != nil {
				return fmt.Errorf("logger %d: %w", i+1, err)
			}
			if err := e.shut(ctx, l); err != nil {
				return fmt.Errorf("logger %d: %w", i+1, err)
			}
			if s := l.Stats(); s.Acked.Messages != messages {
				return fmt.Errorf("logger %d: %d of %d messages were acknowledged", i+1, s.Acked.Messages, messages)
			}
			if !e.desc.Capability.ReadLogs {
				return nil
			}
			if err := e.expect(ctx, e.reopened(infos[i]), logdriver.ReadConfig{Tail: -1}, own(i)); err != nil {
				return fmt.Errorf("logger %d: %w", i+1, err)
			}
			return nil
		})
	}
	return g.Wait()
}

func checkConcurrent(ctx context.Context, e *env) error {
	each := e.scaled(300)
	sources := []string{stdout, stderr}
	want := map[string][]record{}
	for _, s := range sources {
		want[s] = numbered(each)
		for i := range want[s] {
			want[s][i].source = s
			want[s][i].line = s + " " + want[s][i].line
		}
	}
	return e.with(ctx, func(l host.Logger, info logdriver.Info) error {
		follower := e.following(ctx, l, logdriver.ReadConfig{Tail: -1})
		defer follower.close()
		var writers errgroup.Group
		for _, s := range sources {
			writers.Go(func() error { return logAll(l, want[s]) })
		}
		err := writers.Wait()
		if err = errors.Join(err, e.shut(ctx, l)); err != nil {
			return err
		}
		followed, err := follower.rest(ctx)
		if err != nil {
			return fmt.Errorf("following: %w", err)
		}
		read, err := e.readAll(ctx, e.reopened(info), logdriver.ReadConfig{Tail: -1})
		if err != nil {
			return err
		}
		for _, s := range sources {
			if err := sameLines(bySource(followed)[s], want[s]); err != nil {
				return fmt.Errorf("source %s, followed: %w", s, err)
			}
			if err := sameLines(bySource(read)[s], want[s]); err != nil {
				return fmt.Errorf("source %s: %w", s, err)
			}
		}
		return nil
	})
}

func checkFlush(ctx context.Context, e *env) error {
	return e.with(ctx, func(l host.Logger, info logdriver.Info) error {
		for i, part := range [][]record{nil, numbered(10), numbered(100)} {
			if err := logAll(l, part); err != nil {
				return err
			}
			if err := e.flush(ctx, l); err != nil {
				return fmt.Errorf("flush %d: %w", i+1, err)
			}
		}
		if s := l.Stats(); s.Spooled.Messages != 0 {
			return fmt.Errorf("after Flush %d messages are not acknowledged", s.Spooled.Messages)
		}
		return nil
	})
}

func checkChurn(ctx context.Context, e *env) error {
	return e.with(ctx, func(steady host.Logger, info logdriver.Info) error {
		pid := e.pid()
		want := numbered(1000)
		var g errgroup.Group
		g.Go(func() error { return logAll(steady, want) })
		for range 4 {
			g.Go(func() error {
				for range 10 {
					err := e.with(ctx, func(l host.Logger, _ logdriver.Info) error { return logAll(l, numbered(5)) })
					if err != nil {
						return err
					}
				}
				return nil
			})
		}
		if err := g.Wait(); err != nil {
			return err
		}
		if err := e.shut(ctx, steady); err != nil {
			return err
		}
		if now := e.pid(); now != pid {
			return fmt.Errorf("process %d was replaced by process %d", pid, now)
		}
		if !e.desc.Capability.ReadLogs {
			return nil
		}
		return e.expect(ctx, e.reopened(info), logdriver.ReadConfig{Tail: -1}, want)
	})
}

// checkBusy opens a log in two processes. The messages of the first are of source
// stdout, those of the second of stderr, and each has a stream of its own.
func checkBusy(ctx context.Context, e *env) error {
	first, err := e.session(ctx)
	if err != nil {
		return err
	}
	second, err := e.session(ctx)
	if err != nil {
		return err
	}
	info, want := e.newInfo(), numbered(30)
	other := info
	info.Stream, other.Stream = "stream-a", "stream-b"
	for i := range want[20:] {
		want[20+i].source = stderr
	}
	a, err := first.open(ctx, info)
	if err != nil {
		return err
	}
	if err := first.store(ctx, a.GetLogger(), 1, want[:10]); err != nil {
		return err
	}
	b, err := second.open(ctx, other)
	busy := errors.Is(err, logdriver.ErrLogBusy)
	if err != nil && !busy {
		return fmt.Errorf("while another process writes the log: %w", err)
	}
	if err := first.store(ctx, a.GetLogger(), 11, want[10:20]); err != nil {
		return fmt.Errorf("after another process has opened the log, too: %w", err)
	}
	if err := first.closeLogger(ctx, a.GetLogger()); err != nil {
		return err
	}
	if busy {
		if b, err = second.open(ctx, other); err != nil {
			return fmt.Errorf("after the other process has closed the log: %w", err)
		}
	}
	if err := second.store(ctx, b.GetLogger(), 1, want[20:]); err != nil {
		return err
	}
	if err := second.closeLogger(ctx, b.GetLogger()); err != nil {
		return err
	}
	if !e.desc.Capability.ReadLogs {
		return nil
	}
	got, err := second.read(ctx, readInfo(other, logdriver.ReadConfig{Tail: -1}))
	return errors.Join(err, sameLines(bySource(got)[stdout], want[:20]), sameLines(bySource(got)[stderr], want[20:]))
}
