package service

import (
	"errors"

	"github.com/logplug/logplug/shared/wire"
)

// panicTries is how often a message by itself may make the driver panic before
// it is rejected.
const panicTries = 3

// panics finds the message that makes a driver panic: each panic halves what
// the driver is handed next, until the culprit comes alone.
type panics struct {
	limit int    // messages to hand over, 0 for no limit
	alone int    // panics in a row on one message alone
	site  string // of the last one whose stack is in the log; empty if that was another message's
}

// news tells whether a panic at site, on the way to the message that is to blame,
// is the first one there: the others of its kind have the same stack.
func (p *panics) news(site string) bool {
	if p.site == site {
		return false
	}
	p.site = site
	return true
}

// most returns how many messages may be handed over at once.
func (p *panics) most() int {
	if p.limit == 0 {
		return maxBatchMessages
	}
	return p.limit
}

// learn takes note of what became of n messages. A message that is found guilty
// is settled as rejected. It returns whether the next attempt tells more, so that
// it need not wait for long.
func (p *panics) learn(n int, out *outcome) (closer bool) {
	if !errors.Is(out.err, wire.ErrPanic) {
		if p.limit = 2 * p.limit; p.limit >= maxBatchMessages {
			p.limit, p.site = 0, ""
		}
		p.alone = 0
		return false
	}
	if left := n - out.done; left > 1 {
		p.limit, p.alone = (left+1)/2, 0
		return true
	}
	p.limit = 1
	if p.alone++; p.alone < panicTries {
		return false
	}
	p.alone, p.site = 0, ""
	if out.rejected == nil {
		out.rejected = make(map[int]error)
	}
	out.rejected[out.done] = out.err
	out.done, out.err = out.done+1, nil
	return true
}
