package cli

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"time"

	"github.com/logplug/logplug/host/cmd/logplug/internal/child"
)

// signalGrace is for how long after the command's end signals are taken for the
// ones that ended it.
const signalGrace = time.Second

// interrupts hands signals on to the command while it runs. Before and after, a
// signal that asks logplug to end cancels the stage that it is in.
type interrupts struct {
	terminal *child.Terminal
	signals  chan os.Signal
	done     chan struct{}

	mu     sync.Mutex
	cancel context.CancelCauseFunc // of the stage
	early  os.Signal               // came before the command was started
	child  *child.Child            // while it runs
	exited time.Time
}

// catchInterrupts starts catching signals, until stop.
func catchInterrupts(t *child.Terminal) *interrupts {
	const waiting = 32 // signals may arrive faster than they are handed on
	i := &interrupts{terminal: t, signals: make(chan os.Signal, waiting), done: make(chan struct{})}
	signal.Notify(i.signals, child.Signals(t)...)
	go func() {
		defer close(i.done)
		for s := range i.signals {
			i.handle(s)
		}
	}()
	return i
}

func (i *interrupts) stop() {
	signal.Stop(i.signals)
	close(i.signals)
	<-i.done
}

// stage begins a stage: what it returns is cancelled with a *signalError.
func (i *interrupts) stage(parent context.Context) context.Context {
	ctx, cancel := context.WithCancelCause(parent)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.cancel = cancel
	return ctx
}

// started makes c the command, and hands it what it would have got had it been
// started earlier.
func (i *interrupts) started(c *child.Child) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.child = c
	if i.early != nil {
		c.Signal(i.early)
	}
}

func (i *interrupts) childExited() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.child, i.exited = nil, time.Now()
}

// ended tells whether the command has ended.
func (i *interrupts) ended() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return !i.exited.IsZero()
}

func (i *interrupts) handle(s os.Signal) {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case i.child != nil:
		if !i.terminal.Sent(s) {
			i.child.Signal(s)
		}
	case !child.Ends(s):
	case i.exited.IsZero():
		i.early = s
		i.cancel(&signalError{s})
	case time.Since(i.exited) >= signalGrace:
		i.cancel(&signalError{s})
	}
}
