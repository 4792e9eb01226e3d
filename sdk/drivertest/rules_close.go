package drivertest

import (
	"context"
	"errors"
	"fmt"

	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/shared/logdriver"
)

// closeRules are about what Close promises.
func closeRules() []Rule {
	return []Rule{
		{
			ID: "close/delivers", Needs: NeedReads, EachSet: true,
			Text: "What was logged before Close is with the sink when Close returns.",
			check: func(ctx context.Context, e *env) error {
				want := numbered(e.scaled(300))
				var log logdriver.Info
				err := e.with(ctx, func(l host.Logger, info logdriver.Info) error {
					log = info
					return logAll(l, want)
				})
				if err != nil {
					return err
				}
				return e.expect(ctx, e.reopened(log), logdriver.ReadConfig{Tail: -1}, want)
			},
		},
		{
			ID: "close/reopen", Needs: NeedReads, EachSet: true,
			Text:  "A log that is opened again after it was closed, in the same or in another process, goes on after what it held.",
			check: checkReopen,
		},
		{
			ID:    "close/empty",
			Text:  "A logger that nothing was logged to closes without an error.",
			check: func(ctx context.Context, e *env) error { return e.with(ctx, nothing) },
		},
		{
			ID:    "close/acknowledges",
			Text:  "Every message is acknowledged: none fails, and Close leaves none behind.",
			check: checkAcknowledged,
		},
	}
}

func nothing(host.Logger, logdriver.Info) error { return nil }

func checkReopen(ctx context.Context, e *env) error {
	want, info := numbered(30), e.newInfo()
	for i := range 3 {
		l, err := e.open(ctx, info)
		if err != nil {
			return fmt.Errorf("opening it for the time %d: %w", i+1, err)
		}
		if err := errors.Join(logAll(l, want[i*10:(i+1)*10]), e.shut(ctx, l)); err != nil {
			return fmt.Errorf("writing it for the time %d: %w", i+1, err)
		}
		if i == 1 {
			if err := e.anotherHost(); err != nil {
				return err
			}
		}
	}
	return e.expect(ctx, e.reopened(info), logdriver.ReadConfig{Tail: -1}, want)
}

func checkAcknowledged(ctx context.Context, e *env) error {
	return e.with(ctx, func(l host.Logger, _ logdriver.Info) error {
		const n = 500
		if err := logAll(l, numbered(n)); err != nil {
			return err
		}
		if err := e.shut(ctx, l); err != nil {
			return err
		}
		s := l.Stats()
		if s.Acked.Messages != n || s.Failed.Messages != 0 {
			return fmt.Errorf("of %d messages %d were acknowledged and %d failed %s", n, s.Acked.Messages, s.Failed.Messages, s.LastFailure)
		}
		return nil
	})
}
