package launch

import (
	"sync"
	"time"
)

const (
	floodBurst  = 1000        // lines that pass at once
	floodRate   = 200         // lines a second that pass after that
	floodReport = time.Second // how long suppressed lines go unreported at most
	floodBytes  = 1 << 10     // a line that is longer counts as several of this size
)

// flood limits how many lines of a driver reach the host's log. What it
// suppresses is counted and reported within floodReport, and at close.
type flood struct {
	report func(suppressed int)

	mu         sync.Mutex
	tokens     float64
	last       time.Time
	suppressed int
	timer      *time.Timer // runs while there is something to report
	closed     bool
	reporting  sync.WaitGroup
}

func newFlood(report func(suppressed int)) *flood {
	return &flood{report: report, tokens: floodBurst, last: time.Now()}
}

// allow tells whether one more line, of the given size, may pass, and counts it
// if not.
func (f *flood) allow(size int) bool {
	cost := float64(1 + size/floodBytes)
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	f.tokens = min(floodBurst, f.tokens+now.Sub(f.last).Seconds()*floodRate)
	f.last = now
	if f.tokens >= cost {
		f.tokens -= cost
		return true
	}
	f.suppressed++
	if f.timer == nil && !f.closed {
		f.reporting.Add(1)
		f.timer = time.AfterFunc(floodReport, f.tick)
	}
	return false
}

func (f *flood) tick() {
	defer f.reporting.Done()
	f.mu.Lock()
	n := f.suppressed
	f.suppressed, f.timer = 0, nil
	f.mu.Unlock()
	if n > 0 {
		f.report(n) // outside the lock: a log may block
	}
}

// close reports what is left and waits for a report that is under way.
func (f *flood) close() {
	f.mu.Lock()
	f.closed = true
	n := f.suppressed
	f.suppressed = 0
	if f.timer != nil && f.timer.Stop() {
		f.timer = nil
		f.reporting.Done()
	}
	f.mu.Unlock()
	f.reporting.Wait()
	if n > 0 {
		f.report(n)
	}
}
