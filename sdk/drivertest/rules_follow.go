package drivertest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/shared/logdriver"
)

func followRules() []Rule {
	return []Rule{
		{
			ID: "follow/empty", Needs: NeedReads, EachSet: true,
			Text:  "Following an empty log, with Tail -1, 0, 1 or 42, delivers all that is logged afterwards.",
			check: checkFollowEmpty,
		},
		{
			ID: "follow/attach", Needs: NeedReads, EachSet: true,
			Text:  "Following a log with Tail -1 while it is being written delivers all of it: no gap, no duplicate.",
			check: checkFollowAttach,
		},
		{
			ID: "follow/tail", Needs: NeedReads, EachSet: true,
			Text:  "Following with Tail 0 delivers only what is logged afterwards, with Tail 1 the last message before as well.",
			check: checkFollowTail,
		},
		{
			ID: "follow/since", Needs: NeedReads, EachSet: true,
			Text:  "Following with Since delivers from the first message that matches on, in the past and in what is logged afterwards.",
			check: checkFollowSince,
		},
		{
			ID: "follow/until", Needs: NeedReads, EachSet: true,
			Text:  "Until ends the following at the first message that is later, while the logger stays open.",
			check: checkFollowUntil,
		},
		{
			ID: "follow/until-clock", Needs: NeedReads,
			Text:  "Following with Until in the future ends when that time has passed, also if nothing is logged.",
			check: checkFollowClock,
		},
		{
			ID: "follow/window", Needs: NeedReads, EachSet: true,
			Text:  "Following with Since and Until delivers what lies between them, and ends.",
			check: checkFollowWindow,
		},
		{
			ID: "follow/close", Needs: NeedReads, EachSet: true,
			Text:  "Following ends when the logger is closed: without an error, with everything delivered.",
			check: checkFollowClose,
		},
		{
			ID: "follow/instance", Needs: NeedReads, EachSet: true,
			Text:  "Following a log that was opened again, in the same or in another process, delivers what was logged before, too.",
			check: checkFollowInstance,
		},
		{
			ID: "follow/closed", Needs: NeedReads, EachSet: true,
			Text:  "Following a log that has no open logger delivers what there is, and ends.",
			check: checkFollowClosed,
		},
		{
			ID: "follow/prompt", Needs: NeedReads,
			Text:  "A reader that follows gets a message although no other one comes after it.",
			check: checkFollowPrompt,
		},
	}
}

// following is a reading that follows an open logger.
func (e *env) following(ctx context.Context, l host.Logger, cfg logdriver.ReadConfig) *reading {
	cfg.Follow = true
	return e.reading(live(l)(ctx, cfg))
}

// takes checks the next messages of r.
func (r *reading) takes(ctx context.Context, want []record) error {
	got, err := r.take(ctx, len(want))
	if serr := sameLines(got, want[:min(len(got), len(want))]); serr != nil {
		return serr
	}
	return err
}

// endsWith checks the remaining messages of r, and that it ends without an error.
func (r *reading) endsWith(ctx context.Context, want []record) error {
	got, err := r.rest(ctx)
	return errors.Join(sameLines(got, want), err)
}

func checkFollowEmpty(ctx context.Context, e *env) error {
	for _, tail := range []int{-1, 0, 1, 42} {
		want := numbered(100)
		var r *reading
		err := e.with(ctx, func(l host.Logger, _ logdriver.Info) error {
			r = e.following(ctx, l, logdriver.ReadConfig{Tail: tail})
			if err := logAll(l, want); err != nil {
				return err
			}
			return r.takes(ctx, want)
		})
		if err == nil {
			err = r.endsWith(ctx, nil)
		}
		r.close()
		if err != nil {
			return fmt.Errorf("with tail %d: %w", tail, err)
		}
	}
	return nil
}

// close tells the producer that nobody reads on.
func (r *reading) close() {
	if r != nil {
		r.watcher.Close()
	}
}

func checkFollowAttach(ctx context.Context, e *env) error {
	want := numbered(e.scaled(600))
	var readers errgroup.Group
	err := e.with(ctx, func(l host.Logger, _ logdriver.Info) error {
		if err := logAll(l, want[:50]); err != nil {
			return err
		}
		// Readers attach in the middle of what a writer logs meanwhile.
		attach := make(chan struct{}, len(want))
		written := make(chan error, 1)
		go func() {
			defer close(attach)
			var err error
			for i := 50; i < len(want) && err == nil; i++ {
				if err = logAll(l, want[i:i+1]); i%(len(want)/6) == 0 {
					attach <- struct{}{}
				}
			}
			written <- err
		}()
		for range attach {
			r := e.following(ctx, l, logdriver.ReadConfig{Tail: -1})
			readers.Go(func() error {
				defer r.close()
				return r.endsWith(ctx, want)
			})
		}
		return <-written
	})
	return errors.Join(err, readers.Wait())
}

func checkFollowTail(ctx context.Context, e *env) error {
	want := numbered(60)
	return e.with(ctx, func(l host.Logger, _ logdriver.Info) error {
		if err := logAll(l, want[:30]); err != nil {
			return err
		}
		tails := []int{0, 1, 7, 1000}
		readings := make([]*reading, len(tails))
		for i, tail := range tails {
			readings[i] = e.following(ctx, l, logdriver.ReadConfig{Tail: tail})
			defer readings[i].close()
		}
		if err := logAll(l, want[30:]); err != nil {
			return err
		}
		if err := e.shut(ctx, l); err != nil {
			return err
		}
		for i, tail := range tails {
			if err := readings[i].endsWith(ctx, want[max(0, 30-tail):]); err != nil {
				return fmt.Errorf("with tail %d: %w", tail, err)
			}
		}
		return nil
	})
}

// checkFollowed logs the first half of records, follows with cfg, logs the other
// half, and wants the reading to deliver want. It must end there before the
// logger is closed if early is set, and with the logger otherwise.
func (e *env) checkFollowed(ctx context.Context, records []record, cfg logdriver.ReadConfig, want []record, early bool) error {
	return e.with(ctx, func(l host.Logger, _ logdriver.Info) error {
		half := len(records) / 2
		if err := logAll(l, records[:half]); err != nil {
			return err
		}
		r := e.following(ctx, l, cfg)
		defer r.close()
		if err := logAll(l, records[half:]); err != nil {
			return err
		}
		if !early {
			if err := e.shut(ctx, l); err != nil {
				return err
			}
		}
		if err := r.endsWith(ctx, want); err != nil {
			return fmt.Errorf("following with %s: %w", describeConfig(cfg), err)
		}
		return nil
	})
}

func checkFollowSince(ctx context.Context, e *env) error {
	r := numbered(40)
	for _, i := range []int{5, 19, 20, 33} {
		cfg := logdriver.ReadConfig{Tail: -1, Since: r[i].at}
		if err := e.checkFollowed(ctx, r, cfg, r[i:], false); err != nil {
			return err
		}
	}
	return nil
}

func checkFollowUntil(ctx context.Context, e *env) error {
	r := numbered(40)
	for _, i := range []int{5, 19, 20, 33} {
		cfg := logdriver.ReadConfig{Tail: -1, Until: r[i].at}
		if err := e.checkFollowed(ctx, r, cfg, r[:i+1], true); err != nil {
			return err
		}
	}
	return nil
}

// clockAhead is how far in the future follow/until-clock looks at first.
const clockAhead = 300 * time.Millisecond

func checkFollowClock(ctx context.Context, e *env) error {
	return e.with(ctx, func(l host.Logger, _ logdriver.Info) error {
		want := numbered(3)
		if err := logAll(l, want); err != nil {
			return err
		}
		for ahead := clockAhead; ; ahead *= 2 {
			until := time.Now().Add(ahead)
			r := e.following(ctx, l, logdriver.ReadConfig{Tail: -1, Until: until})
			// A reading that began too late need not have seen a future.
			if ahead < e.opts.Wait && !time.Now().Before(until) {
				r.close()
				continue
			}
			err := r.endsWith(ctx, want)
			r.close()
			return err
		}
	})
}

func checkFollowWindow(ctx context.Context, e *env) error {
	r := numbered(40)
	for _, window := range [][2]int{{5, 9}, {10, 30}, {20, 20}, {25, 33}} {
		cfg := logdriver.ReadConfig{Tail: -1, Since: r[window[0]].at, Until: r[window[1]].at}
		if err := e.checkFollowed(ctx, r, cfg, r[window[0]:window[1]+1], true); err != nil {
			return err
		}
	}
	return nil
}

func checkFollowClose(ctx context.Context, e *env) error {
	want := numbered(e.scaled(500))
	var r *reading
	defer func() { r.close() }()
	err := e.with(ctx, func(l host.Logger, _ logdriver.Info) error {
		if err := logAll(l, want[:len(want)/5]); err != nil {
			return err
		}
		r = e.following(ctx, l, logdriver.ReadConfig{Tail: -1})
		return logAll(l, want[len(want)/5:])
	})
	if err != nil {
		return err
	}
	return r.endsWith(ctx, want)
}

func checkFollowInstance(ctx context.Context, e *env) error {
	want, info := numbered(60), e.newInfo()
	for i := range 3 {
		l, err := e.open(ctx, info)
		if err != nil {
			return err
		}
		r := e.following(ctx, l, logdriver.ReadConfig{Tail: -1})
		if err := logAll(l, want[i*20:(i+1)*20]); err != nil {
			return err
		}
		if err := r.takes(ctx, want[:(i+1)*20]); err != nil {
			return fmt.Errorf("instance %d: %w", i+1, err)
		}
		if err := e.shut(ctx, l); err != nil {
			return err
		}
		if err := r.endsWith(ctx, nil); err != nil {
			return fmt.Errorf("instance %d: after its close: %w", i+1, err)
		}
		if i == 1 {
			if err := e.anotherHost(); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkFollowClosed(ctx context.Context, e *env) error {
	want := numbered(30)
	var log logdriver.Info
	err := e.with(ctx, func(l host.Logger, info logdriver.Info) error {
		log = info
		return logAll(l, want)
	})
	if err != nil {
		return err
	}
	for tail, want := range map[int][]record{-1: want, 0: nil, 3: want[27:]} {
		if err := e.expect(ctx, e.reopened(log), logdriver.ReadConfig{Tail: tail, Follow: true}, want); err != nil {
			return err
		}
	}
	return nil
}

func checkFollowPrompt(ctx context.Context, e *env) error {
	return e.with(ctx, func(l host.Logger, _ logdriver.Info) error {
		r := e.following(ctx, l, logdriver.ReadConfig{Tail: 0})
		defer r.close()
		want := numbered(20)
		for i := range want {
			if err := logAll(l, want[i:i+1]); err != nil {
				return err
			}
			if err := r.takes(ctx, want[i:i+1]); err != nil {
				return fmt.Errorf("message %d, with none after it: %w", i+1, err)
			}
		}
		return nil
	})
}
