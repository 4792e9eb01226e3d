package drivertest

import (
	"context"
	"time"

	"github.com/logplug/logplug/shared/logdriver"
)

func timeRules() []Rule {
	return []Rule{
		{
			ID: "since/inclusive", Needs: NeedReads, EachSet: true,
			Text:  "Since leaves out what is older; a message of exactly that time is returned.",
			check: checkSince,
		},
		{
			ID: "since/backwards", Needs: NeedReads, EachSet: true,
			Text:  "After the first message that matches Since, messages with older times are returned too.",
			check: checkSinceBackwards,
		},
		{
			ID: "since/tail", Needs: NeedReads, EachSet: true,
			Text:  "Tail together with Since returns the shorter selection.",
			check: checkSinceTail,
		},
		{
			ID: "until/excludes", Needs: NeedReads, EachSet: true,
			Text:  "Until leaves out what is later; a message of exactly that time is returned.",
			check: checkUntil,
		},
		{
			ID: "until/first", Needs: NeedReads, EachSet: true,
			Text:  "Until ends the reading at the first message that is later, also if older times follow.",
			check: checkUntilFirst,
		},
		{
			ID: "until/window", Needs: NeedReads, EachSet: true,
			Text:  "Since together with Until returns what lies between them.",
			check: checkWindow,
		},
	}
}

// selection is a configuration and what it must return.
type selection struct {
	cfg  logdriver.ReadConfig
	want []record
}

// checkSelections reads each selection of a log both ways.
func (e *env) checkSelections(ctx context.Context, records []record, selections []selection) error {
	return e.bothWays(ctx, records, func(from source) error {
		for _, s := range selections {
			if err := e.expect(ctx, from, s.cfg, s.want); err != nil {
				return err
			}
		}
		return nil
	})
}

func checkSince(ctx context.Context, e *env) error {
	r := numbered(20)
	return e.checkSelections(ctx, r, []selection{
		{logdriver.ReadConfig{Tail: -1, Since: r[7].at}, r[7:]},
		{logdriver.ReadConfig{Tail: -1, Since: r[7].at.Add(time.Millisecond)}, r[8:]},
		{logdriver.ReadConfig{Tail: -1, Since: r[0].at.Add(-time.Hour)}, r},
		{logdriver.ReadConfig{Tail: -1, Since: r[19].at}, r[19:]},
		{logdriver.ReadConfig{Tail: -1, Since: r[19].at.Add(time.Second)}, nil},
	})
}

func checkSinceBackwards(ctx context.Context, e *env) error {
	r := numbered(6)
	for i, offset := range []int{0, 5, 20, 10, 25, 1} {
		r[i].at = r[0].at.Add(time.Duration(offset) * time.Second)
	}
	return e.checkSelections(ctx, r, []selection{
		{logdriver.ReadConfig{Tail: -1, Since: r[2].at}, r[2:]},
		{logdriver.ReadConfig{Tail: -1, Since: r[3].at}, r[2:]},
		{logdriver.ReadConfig{Tail: -1, Since: r[4].at}, r[4:]},
	})
}

func checkSinceTail(ctx context.Context, e *env) error {
	r := numbered(20)
	return e.checkSelections(ctx, r, []selection{
		{logdriver.ReadConfig{Tail: 5, Since: r[10].at}, r[15:]},
		{logdriver.ReadConfig{Tail: 15, Since: r[10].at}, r[10:]},
		{logdriver.ReadConfig{Tail: 10, Since: r[10].at}, r[10:]},
		{logdriver.ReadConfig{Tail: 100, Since: r[18].at}, r[18:]},
		{logdriver.ReadConfig{Tail: 0, Since: r[10].at}, nil},
	})
}

func checkUntil(ctx context.Context, e *env) error {
	r := numbered(20)
	return e.checkSelections(ctx, r, []selection{
		{logdriver.ReadConfig{Tail: -1, Until: r[7].at}, r[:8]},
		{logdriver.ReadConfig{Tail: -1, Until: r[7].at.Add(-time.Millisecond)}, r[:7]},
		{logdriver.ReadConfig{Tail: -1, Until: r[0].at.Add(-time.Second)}, nil},
		{logdriver.ReadConfig{Tail: -1, Until: r[19].at.Add(time.Hour)}, r},
	})
}

func checkUntilFirst(ctx context.Context, e *env) error {
	r := numbered(6)
	for i, offset := range []int{0, 5, 20, 10, 3, 1} {
		r[i].at = r[0].at.Add(time.Duration(offset) * time.Second)
	}
	return e.checkSelections(ctx, r, []selection{
		{logdriver.ReadConfig{Tail: -1, Until: r[3].at}, r[:2]},
		{logdriver.ReadConfig{Tail: -1, Until: r[2].at}, r},
	})
}

func checkWindow(ctx context.Context, e *env) error {
	r := numbered(20)
	return e.checkSelections(ctx, r, []selection{
		{logdriver.ReadConfig{Tail: -1, Since: r[5].at, Until: r[9].at}, r[5:10]},
		{logdriver.ReadConfig{Tail: -1, Since: r[5].at, Until: r[5].at}, r[5:6]},
		{logdriver.ReadConfig{Tail: -1, Since: r[9].at, Until: r[5].at}, nil},
	})
}
