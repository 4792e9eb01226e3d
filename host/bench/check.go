package main

import (
	"context"
	"fmt"
)

// checkScale keeps the check short; ratios of CPU time settle soon.
const (
	checkScale  = 0.2
	checkRounds = 3
)

// bound is what a ratio of CPU time, or a number of allocations, may not exceed.
// Bounds leave room for a slow or busy machine, where ratios are three times what they
// are on others: they are there to catch an allocation or a system call a message, not
// some percent.
type bound struct {
	what   string
	metric string
	ours   string
	peer   string // empty: the metric itself is bounded
	atMost float64
}

// checks lists scenarios by name with their bounds.
func checks() map[string][]bound {
	return map[string][]bound{
		"discard":  {{"CPU a message to a driver that discards", cpu, ours, fifo, 0.4}},
		"jsonfile": {{"CPU a message to jsonfile", cpu, ours, jsonLog, 0.7}},
		"trickle":  {{"CPU a message of quiet loggers", cpu, ours, fifo, 1.2}},
		"Log":      {{"allocations a Log", allocations, ours, "", 0.5}},
	}
}

// check measures and compares with the bounds. It never looks at wall time.
func (r *runner) check(ctx context.Context) error {
	r.flags.scale, r.flags.quick = checkScale, true
	worse := 0
	for _, s := range scenarios(false) {
		bounds := checks()[s.name]
		if bounds == nil {
			continue
		}
		m := r.measure(ctx, s.only(bounds), checkRounds)
		for _, b := range bounds {
			ok, text := b.holds(m)
			fmt.Println(text)
			if !ok {
				worse++
			}
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if worse > 0 {
		return fmt.Errorf("%d of the bounds are exceeded", worse)
	}
	return nil
}

// only returns s with the contenders that the bounds need.
func (s *scenario) only(bounds []bound) *scenario {
	few := *s
	few.contenders = nil
	for _, c := range s.contenders {
		for _, b := range bounds {
			if c.name == b.ours || c.name == b.peer {
				few.contenders = append(few.contenders, c)
				break
			}
		}
	}
	return &few
}

func (b *bound) holds(m *measured) (ok bool, text string) {
	value, found := m.median(b.ours, b.metric)
	against := ""
	if found && b.peer != "" {
		var peer float64
		if peer, found = m.median(b.peer, b.metric); found {
			value /= peer
			against = " by that of " + b.peer
		}
	}
	if !found {
		return false, fmt.Sprintf("FAIL %s: %s", b.what, m.failure(b.ours, b.peer))
	}
	verdict := "ok  "
	if ok = value <= b.atMost; !ok {
		verdict = "FAIL"
	}
	return ok, fmt.Sprintf("%s %s%s: %.3g, at most %.3g", verdict, b.what, against, value, b.atMost)
}
