package host

import (
	"context"
	"fmt"

	"github.com/logplug/logplug/shared/logdriver"
	"github.com/logplug/logplug/shared/wire"
)

// whenChanged returns a channel that is closed at the next notify. It is called
// with l.mu.
func (l *logger) whenChanged() <-chan struct{} {
	if l.changed == nil {
		l.changed = make(chan struct{})
	}
	return l.changed
}

// notify wakes everybody who waits. It is called with l.mu.
func (l *logger) notify() {
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// await waits, without l.mu that it is called with, until ok returns true, which is
// asked first and after each change. The error is the cause of ctx's end.
func (l *logger) await(ctx context.Context, ok func() bool) error {
	for !ok() {
		changed := l.whenChanged()
		l.mu.Unlock()
		var err error
		select {
		case <-changed:
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
		l.mu.Lock()
		if err != nil && !ok() {
			return err
		}
	}
	return nil
}

// awaitAcked is await for acknowledgements, which the driver is asked for.
func (l *logger) awaitAcked(ctx context.Context, ok func() bool) error {
	return l.await(ctx, func() bool {
		if ok() {
			return true
		}
		l.hasten()
		return false
	})
}

// asked is for what a logger has asked for acknowledgements last: it does so again when
// something has changed.
type asked struct {
	session           *session
	acked, sent, last uint64
}

// hasten makes the driver acknowledge soon what it has got: somebody waits for that. Of a
// long queue it acknowledges one window after the other, soon enough. It is called with l.mu.
func (l *logger) hasten() {
	waits := l.inflight > 0 || l.queued
	if l.session == nil || !waits || l.queue.Bytes() > l.window && !l.paused {
		return
	}
	now := asked{l.session, l.queue.Acked(), l.queue.Sent(), l.queue.Last()}
	if now == l.asked {
		return
	}
	l.asked = now
	l.session.hasten()
}

// settled tells whether nothing up to last is in the spool, and nothing was given up
// there. It is called with l.mu.
func (l *logger) settled(last uint64) bool { return l.queue.First() > last && !l.gaveUp }

// waitSettled waits until everything that was accepted before the call is
// settled. It returns ErrClosed if the logger has been shut down without that.
func (l *logger) waitSettled(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := l.queue.Last()
	err := l.awaitAcked(ctx, func() bool { return l.settled(last) || l.gone })
	if err == nil && !l.settled(last) {
		err = logdriver.ErrClosed
	}
	if err != nil {
		return fmt.Errorf("waiting for driver %s to acknowledge message %d of logger %s, it has %d%s: %w",
			l.driver.name, last, l.label(), l.queue.Acked(), l.blocked.suffix(), err)
	}
	return nil
}

// waitAttached waits until the driver has opened the logger.
func (l *logger) waitAttached(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.await(ctx, func() bool { return l.session != nil || l.closing }); err != nil {
		return fmt.Errorf("opening logger %s, for which an earlier host left messages%s: %w", l.label(), l.blocked.suffix(), err)
	}
	return nil
}

// waitSession waits until the logger is open at a place that is not old, which may be
// none, and returns it.
func (l *logger) waitSession(ctx context.Context, old place) (place, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.await(ctx, func() bool { return l.session != nil && l.placeLocked() != old || l.gone }); err != nil {
		return place{}, fmt.Errorf("%w; it is being replaced, try again%s: %w", wire.ErrUnavailable, l.blocked.suffix(), err)
	}
	if l.gone {
		return place{}, logdriver.ErrClosed
	}
	return l.placeLocked(), nil
}
