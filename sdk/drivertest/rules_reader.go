package drivertest

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/shared/logdriver"
)

func readerRules() []Rule {
	return []Rule{
		{
			ID: "reader/several", Needs: NeedReads, EachSet: true,
			Text:  "Several readers, with and without Follow, read at the same time while the log is being written: each gets all of its selection.",
			check: checkSeveralReaders,
		},
		{
			ID: "reader/leaves", Needs: NeedReads,
			Text:  "A reader that goes away early disturbs neither logging nor other readers.",
			check: checkReaderLeaves,
		},
		{
			ID: "reader/cancel", Needs: NeedReads,
			Text:  "Reading ends when its context is cancelled, in time, also while it follows.",
			check: checkReaderCancel,
		},
		{
			ID: "reader/slow", Needs: NeedReads,
			Text:  "A reader that takes nothing holds up neither logging nor other readers; when it goes on, it gets everything.",
			check: checkSlowReader,
		},
	}
}

func checkSeveralReaders(ctx context.Context, e *env) error {
	want := numbered(e.scaled(400))
	var readers errgroup.Group
	err := e.with(ctx, func(l host.Logger, _ logdriver.Info) error {
		if err := logAll(l, want[:len(want)/2]); err != nil {
			return err
		}
		for range 4 {
			r := e.following(ctx, l, logdriver.ReadConfig{Tail: -1})
			readers.Go(func() error {
				defer r.close()
				return r.endsWith(ctx, want)
			})
			past := e.reading(live(l)(ctx, logdriver.ReadConfig{Tail: -1, Until: want[len(want)/3].at}))
			readers.Go(func() error {
				defer past.close()
				return past.endsWith(ctx, want[:len(want)/3+1])
			})
		}
		return logAll(l, want[len(want)/2:])
	})
	return errors.Join(err, readers.Wait())
}

func checkReaderLeaves(ctx context.Context, e *env) error {
	want := numbered(10_000)
	return e.with(ctx, func(l host.Logger, _ logdriver.Info) error {
		pid := e.pid()
		if err := logAll(l, want[:9000]); err != nil {
			return err
		}
		stay := e.following(ctx, l, logdriver.ReadConfig{Tail: 0})
		defer stay.close()
		for i := range 6 {
			r := e.reading(live(l)(ctx, logdriver.ReadConfig{Tail: -1, Follow: i%2 == 0}))
			err := r.takes(ctx, want[:i])
			r.close()
			if err != nil {
				return fmt.Errorf("reader %d: %w", i+1, err)
			}
			if _, err := r.ends(ctx); err != nil {
				return fmt.Errorf("reader %d, after it closed its watcher: %w", i+1, err)
			}
		}
		if err := logAll(l, want[9000:]); err != nil {
			return err
		}
		if err := e.shut(ctx, l); err != nil {
			return err
		}
		if err := stay.endsWith(ctx, want[9000:]); err != nil {
			return fmt.Errorf("the reader that stayed: %w", err)
		}
		if now := e.pid(); now != pid {
			return fmt.Errorf("process %d was replaced by process %d", pid, now)
		}
		return nil
	})
}

func checkReaderCancel(ctx context.Context, e *env) error {
	want := numbered(50)
	return e.with(ctx, func(l host.Logger, _ logdriver.Info) error {
		if err := logAll(l, want); err != nil {
			return err
		}
		for _, follow := range []bool{true, false} {
			rctx, cancel := context.WithCancel(ctx)
			r := e.reading(live(l)(rctx, logdriver.ReadConfig{Tail: -1, Follow: follow}))
			err := r.takes(ctx, want[:10])
			cancel()
			if err == nil {
				_, err = r.ends(ctx)
			}
			if err != nil {
				return fmt.Errorf("with follow %t: %w", follow, err)
			}
		}
		// The logger is as good as before.
		return e.expect(ctx, live(l), logdriver.ReadConfig{Tail: 5}, want[45:])
	})
}

func checkSlowReader(ctx context.Context, e *env) error {
	want := numbered(30_000)
	for i := range want {
		want[i].line += strings.Repeat(".", 200) // more than all buffers on the way hold
	}
	var slow *reading
	defer func() { slow.close() }()
	err := e.with(ctx, func(l host.Logger, _ logdriver.Info) error {
		slow = e.following(ctx, l, logdriver.ReadConfig{Tail: -1})
		if err := logAll(l, want); err != nil {
			return fmt.Errorf("while a reader takes nothing: %w", err)
		}
		if err := e.flush(ctx, l); err != nil {
			return fmt.Errorf("while a reader takes nothing: %w", err)
		}
		if err := e.expect(ctx, live(l), logdriver.ReadConfig{Tail: -1}, want); err != nil {
			return fmt.Errorf("the other reader: %w", err)
		}
		if err := slow.takes(ctx, want); err != nil {
			return fmt.Errorf("the slow reader: %w", err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return slow.endsWith(ctx, nil)
}
