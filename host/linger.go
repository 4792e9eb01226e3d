package host

import (
	"sync/atomic"
	"time"
)

const (
	// busyLoggers is how many loggers with messages end a linger.
	busyLoggers = 128
	// maxUnanswered is how many requests leave at once before an answer is waited
	// for. A driver's answers may wait for some tens of milliseconds.
	maxUnanswered = 512
	// loneTime is how often messages may leave alone in the long run, and maxLone how many
	// of them at once.
	loneTime = 50 * time.Microsecond
	maxLone  = 16
	// manyLoggers is the number of loggers in use above which batches are made for
	// their sake: each of them has little to say, and alone would cost as much as
	// a batch.
	manyLoggers = 200
	// lingerPerLogger is how long messages then wait, for each logger in use.
	lingerPerLogger = 4 * time.Microsecond
	// busyTime is how long a full request that has left from Log makes messages wait for others that
	// fill the next, and restTime how long they do at most.
	busyTime = time.Millisecond
	restTime = 300 * time.Microsecond
	// usePeriod is the time in which a logger has to log to be in use.
	usePeriod = 100 * time.Millisecond
)

// linger decides when messages leave that do not fill a request. The stream
// clocks itself: what comes while the driver owes few answers leaves at once, and
// what comes later leaves with its next answer, as one request. Where a great many
// loggers are in use, or full requests leave in close succession, it leaves at intervals. The
// session's mutex guards a linger.
type linger struct {
	max time.Duration // longest wait; none if it is not positive

	unanswered int  // requests since the driver's last answer
	gathering  bool // what comes has to wait
	patient    bool // for the sake of many loggers; answers do not end the wait
	busy       bool // for the sake of full requests; the same

	calm   time.Time // when it is not busy any more
	sated  time.Time // when as many messages may leave alone as ever
	period uint64    // counts usePeriods
	began  time.Time
	used   int // loggers in use in this period
	before int // in the one before
}

// use counts a logger as in use; seen is the period in which it was counted last. It
// is atomic because a process that has ended and its successor may count at once.
func (g *linger) use(seen *atomic.Uint64) {
	if seen.Load() != g.period {
		seen.Store(g.period)
		g.used++
	}
}

// left takes note that a request leaves now, with a lone message or others. What comes next may
// have to wait.
func (g *linger) left(now time.Time, lone bool) {
	if since := now.Sub(g.began); since >= usePeriod {
		g.before = g.used
		if since >= 2*usePeriod {
			g.before = 0
		}
		g.period++
		g.used, g.began = 0, now
	}
	switch {
	case !lone:
		g.sated = now.Add(maxLone * loneTime)
	case g.sated.Before(now):
		g.sated = now.Add(loneTime)
	default:
		g.sated = g.sated.Add(loneTime)
	}
	g.unanswered++
	g.patient, g.busy = max(g.used, g.before) > manyLoggers, now.Before(g.calm)
	g.gathering = g.max > 0 && (g.patient || g.busy || g.unanswered >= maxUnanswered)
}

// filled takes note that the request that leaves is a full one, and not of the sender's.
func (g *linger) filled(now time.Time) {
	g.calm = now.Add(busyTime)
	g.busy = true
	g.gathering = g.max > 0
}

// nothingLeft takes back that a request has left.
func (g *linger) nothingLeft() { g.unanswered = max(g.unanswered-1, 0) }

// lone tells whether a message that comes now is to leave alone, and what comes next is
// not to wait for that.
func (g *linger) lone(now time.Time) bool {
	return !g.gathering && !g.patient && g.unanswered < maxUnanswered-1 && g.sated.Sub(now) <= (maxLone-1)*loneTime
}

// limit returns how long the wait that has begun may last, 0 if there is none.
func (g *linger) limit() time.Duration {
	if !g.gathering {
		return 0
	}
	if g.patient {
		return min(g.max, time.Duration(max(g.used, g.before))*lingerPerLogger)
	}
	if g.busy {
		return min(g.max, restTime)
	}
	return g.max
}

// over ends the wait: its time is up.
func (g *linger) over() { g.gathering = false }

// answered ends the wait if the driver's answer is what it is for.
func (g *linger) answered() {
	g.unanswered = 0
	if !g.patient && !g.busy {
		g.gathering = false
	}
}
