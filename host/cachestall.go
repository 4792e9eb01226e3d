package host

import "time"

// cachePatience is for how long a cache that takes nothing holds up Log. One that
// is only slow sets the pace, as any driver does.
const cachePatience = 500 * time.Millisecond

// stall remembers that a driver has taken nothing for as long as its logger's
// patience lasts. It ends with the next acknowledgement.
type stall struct {
	active bool
	acked  uint64 // what was acknowledged when it began
}

// haste tells with what nobody waits for a cache any more, since its logger is being closed.
type haste int8

const (
	notAccepted haste = iota + 1 // messages that the logger has not accepted
	anything
)

// hurryUp ends waiting for progress for good.
func (l *logger) hurryUp(with haste) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.haste = max(l.haste, with)
	l.notify()
}

// awaitProgress waits, without l.mu that it is called with, until there is room for
// size bytes, for as long as the driver makes progress, until the deadline. It returns
// false when that has not been so for l.overflow.patience, and then at once until the next
// acknowledgement; and in a haste with what the waiting is for.
func (l *logger) awaitProgress(size int, deadline *time.Time, with haste) bool {
	if l.haste >= with || l.stall.active && l.stall.acked == l.queue.Acked() {
		return false
	}
	l.stall = stall{}
	if b := &l.blocked; b.reason != "" && time.Since(b.since) >= l.overflow.patience {
		l.stall = stall{true, l.queue.Acked()}
		return false
	}
	l.beginWaiting(deadline)
	l.hasten()
	timer := time.NewTimer(l.overflow.patience)
	defer timer.Stop()
	for acked := l.queue.Acked(); !l.closing; {
		own, others := l.whenChanged(), l.room.wait()
		if l.hasRoom(size) {
			return true
		}
		if l.haste >= with || !time.Now().Before(*deadline) {
			return false
		}
		l.mu.Unlock()
		late := false
		select {
		case <-own:
		case <-others:
		case <-timer.C:
			late = true
		}
		l.mu.Lock()
		switch now := l.queue.Acked(); {
		case now != acked:
			acked = now
			timer.Reset(l.overflow.patience)
		case late:
			l.stall = stall{true, now}
			return l.hasRoom(size)
		}
	}
	return true
}
