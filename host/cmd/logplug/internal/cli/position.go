package cli

import (
	"time"

	"github.com/logplug/logplug/shared/logdriver"
)

// position is how far a log was read, so that another reading can go on there.
//
// ReadConfig.Since finds the first message at or after a time, and returns all
// that follow. The message at which the highest timestamp so far was first
// reached is therefore found again exactly, and so is what comes after the messages
// that were seen since then. Clocks that go backwards do no harm, unless the
// first reading began in the middle of the log, after a higher timestamp: then
// messages may be seen twice.
type position struct {
	highest time.Time
	count   int // messages seen, from the one with highest on
}

// note takes a message in the order of reading. again tells that it was noted by
// an earlier reading.
func (p *position) note(at time.Time, again bool) {
	switch {
	case again:
	case p.count == 0 || at.After(p.highest):
		p.highest, p.count = at, 1
	default:
		p.count++
	}
}

// resume returns what to read in order to go on, and how many messages of that
// are known. Before the first message that is cfg itself.
func (p *position) resume(cfg logdriver.ReadConfig) (next logdriver.ReadConfig, skip int) {
	if p.count == 0 {
		return cfg, 0
	}
	cfg.Since, cfg.Tail = p.highest, -1
	return cfg, p.count
}
