package cli

import (
	"fmt"
	"time"

	"github.com/docker/go-units"
	"github.com/logplug/logplug/host/cmd/logplug/internal/importer"
	"golang.org/x/term"
)

// progress shows on a terminal how far an import is.
type progress struct {
	app   *app
	shown bool
	began time.Time
	last  time.Time
	state importer.Progress
}

const progressTick = 200 * time.Millisecond

func (a *app) newProgress() *progress {
	now := time.Now()
	return &progress{app: a, shown: term.IsTerminal(int(a.stderr.Fd())), began: now, last: now}
}

func (p *progress) show(state importer.Progress) {
	p.state = state
	if now := time.Now(); p.shown && now.Sub(p.last) >= progressTick {
		p.last = now
		fmt.Fprintf(p.app.stderr, "\r\x1b[K%s", p.text(now))
	}
}

func (p *progress) text(now time.Time) string {
	rate := float64(p.state.Bytes) / max(now.Sub(p.began).Seconds(), 0.001)
	return fmt.Sprintf("%s of %s, %d messages, %s/s", units.HumanSize(float64(p.state.Bytes)), units.HumanSize(float64(p.state.Total)),
		p.state.Messages, units.HumanSize(rate))
}

// clear makes room for another line.
func (p *progress) clear() {
	if p.shown {
		fmt.Fprint(p.app.stderr, "\r\x1b[K")
	}
}

func (p *progress) finish() {
	if p.shown {
		fmt.Fprintf(p.app.stderr, "\r\x1b[K%s\n", p.text(time.Now()))
	}
}
