package drivertest

import (
	"context"
	"errors"
	"fmt"

	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/shared/logdriver"
)

func tailRules() []Rule {
	return []Rule{
		{
			ID: "tail/exact", Needs: NeedReads, EachSet: true,
			Text:  "Tail equal to the number of messages returns all of them, live and after reopening.",
			check: checkTail(func(n int) int { return n }),
		},
		{
			ID: "tail/fewer", Needs: NeedReads, EachSet: true,
			Text:  "Tail below the number of messages returns that many from the end, live and after reopening.",
			check: checkTail(func(n int) int { return n / 3 }),
		},
		{
			ID: "tail/one", Needs: NeedReads, EachSet: true,
			Text:  "Tail 1 returns the last message, live and after reopening.",
			check: checkTail(func(int) int { return 1 }),
		},
		{
			ID: "tail/none", Needs: NeedReads, EachSet: true,
			Text:  "Tail 0 returns nothing and ends, live and after reopening.",
			check: checkTail(func(int) int { return 0 }),
		},
		{
			ID: "tail/more", Needs: NeedReads, EachSet: true,
			Text:  "Tail above the number of messages returns all of them, live and after reopening.",
			check: checkTail(func(n int) int { return 2*n + 1 }),
		},
		{
			ID: "tail/all", Needs: NeedReads, EachSet: true,
			Text:  "Tail -1 returns all messages, live and after reopening.",
			check: checkTail(func(int) int { return -1 }),
		},
		{
			ID: "tail/empty", Needs: NeedReads, EachSet: true,
			Text:  "Reading an empty log returns nothing and ends, live and after reopening.",
			check: checkEmpty,
		},
		{
			ID: "tail/long", Needs: NeedReads,
			Text:  "Tail is exact in a log of many and of large messages.",
			check: checkLongTail,
		},
		{
			ID: "tail/no-log", Needs: NeedReads,
			Text:  "Reading a log that nobody has written ends: with nothing, or with ErrNoLog.",
			check: checkNoLog,
		},
	}
}

// tailMessages is the length of the log that the tail rules read.
const tailMessages = 24

func checkTail(tail func(n int) int) func(context.Context, *env) error {
	return func(ctx context.Context, e *env) error {
		records, t := numbered(tailMessages), tail(tailMessages)
		want := records
		if t >= 0 {
			want = records[max(0, len(records)-t):]
		}
		return e.bothWays(ctx, records, func(from source) error {
			return e.expect(ctx, from, logdriver.ReadConfig{Tail: t}, want)
		})
	}
}

func checkEmpty(ctx context.Context, e *env) error {
	return e.bothWays(ctx, nil, func(from source) error {
		for _, tail := range []int{-1, 0, 1, 42} {
			if err := e.expect(ctx, from, logdriver.ReadConfig{Tail: tail}, nil); err != nil {
				return err
			}
		}
		return nil
	})
}

func checkLongTail(ctx context.Context, e *env) error {
	records := numbered(5000)
	for i := range records {
		if i%50 == 0 {
			records[i].line += string(make([]byte, 10_000+i))
		}
	}
	return e.bothWays(ctx, records, func(from source) error {
		for _, tail := range []int{1, 7, 50, 999, 4999, -1} {
			want := records
			if tail >= 0 {
				want = records[len(records)-tail:]
			}
			if err := e.expect(ctx, from, logdriver.ReadConfig{Tail: tail}, want); err != nil {
				return err
			}
		}
		return nil
	})
}

func checkNoLog(ctx context.Context, e *env) error {
	// The driver must be at work: with another log.
	return e.with(ctx, func(host.Logger, logdriver.Info) error {
		for _, follow := range []bool{false, true} {
			w := e.reopened(e.newInfo())(ctx, logdriver.ReadConfig{Tail: -1, Follow: follow})
			r := e.reading(w)
			reason, err := r.ends(ctx)
			w.Close()
			switch {
			case err != nil:
				return fmt.Errorf("with follow %t: %w", follow, err)
			case r.seen > 0:
				return fmt.Errorf("with follow %t: it returned %d messages", follow, r.seen)
			case reason != nil && !errors.Is(reason, logdriver.ErrNoLog):
				return fmt.Errorf("with follow %t: it ended with: %w", follow, reason)
			}
		}
		return nil
	})
}
