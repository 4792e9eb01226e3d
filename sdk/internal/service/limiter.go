package service

import "time"

// logInterval is the least time between log lines of one kind from one logger.
const logInterval = 10 * time.Second

// limiter thins out log lines that repeat. It is not safe for concurrent use.
type limiter struct {
	last       time.Time
	text       string
	suppressed int
}

// allow tells whether a line may be written now, and how many were not since the
// last one. A text that differs from the last one does not wait as long.
func (l *limiter) allow(now time.Time, text string) (suppressed int, ok bool) {
	interval := logInterval
	if text != l.text {
		interval /= 10
	}
	if !l.last.IsZero() && now.Sub(l.last) < interval {
		l.suppressed++
		return 0, false
	}
	n := l.suppressed
	*l = limiter{last: now, text: text}
	return n, true
}
