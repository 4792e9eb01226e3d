package host

import (
	"errors"
	"fmt"
	"time"

	"github.com/logplug/logplug/host/internal/spool"
	"github.com/logplug/logplug/shared/logdriver"
	"github.com/logplug/logplug/shared/wire"
)

// accept puts m into the spool, which is not committed. m stays the caller's. deadline is
// that of all waiting together in one call of Log, once that has begun.
func (l *logger) accept(m *logdriver.Message, deadline *time.Time) error {
	n := wire.Measure(m)
	l.mu.Lock()
	if !l.appendQuickly(m, n) {
		if err := l.append(m, n, deadline); err != nil {
			l.mu.Unlock()
			l.driver.host.spool.full.tell()
			return err
		}
	}
	var (
		ready *session
		much  func()
	)
	if !l.queued {
		ready = l.schedule()
	}
	if l.unsent() >= l.pressed+l.presses {
		much = l.press()
	}
	l.mu.Unlock()
	if ready != nil {
		ready.dispatch(l)
	}
	if much != nil {
		much()
	}
	return nil
}

// appendQuickly is append for what most calls find: room that was taken ahead, and some in the last
// block. It does nothing and returns false otherwise. It is called with l.mu.
func (l *logger) appendQuickly(m *logdriver.Message, n wire.Measured) (ok bool) {
	size := n.Size()
	if l.closing || l.gap.messages > 0 || !l.claim.covers(size) || !l.fits(size) || !l.queue.AppendQuickly(m, n) {
		return false
	}
	l.claim.use(size)
	l.counts.accepted.add(1, size)
	return true
}

// append adds m to the queue, making or awaiting room. It is called with l.mu.
func (l *logger) append(m *logdriver.Message, n wire.Measured, deadline *time.Time) error {
	size := n.Size()
	l.heavy = size > heavyBytes
	for {
		if l.closing {
			return logdriver.ErrClosed
		}
		if !l.hasRoom(size) {
			l.hasten()
			if err := l.makeRoom(size, deadline); err != nil {
				return err
			}
			continue
		}
		err := l.push(m, n)
		if err == nil || !errors.Is(err, spool.ErrFull) {
			return err
		}
		l.noteFull(err)
		l.hasten()
		switch { // the store is full, whatever the bounds are
		case l.overflow.drop == dropOldest && l.dropOldest():
			continue
		case l.overflow.drop != "":
			return l.dropNewest(size)
		}
		if err := l.awaitStore(deadline, err); err != nil {
			return err
		}
	}
}

// push adds m, of size n, to the queue, behind a message about what was dropped
// before it.
func (l *logger) push(m *logdriver.Message, n wire.Measured) error {
	if l.gap.messages > 0 {
		if err := l.tellGap(); err != nil {
			return err
		}
	}
	size, err := l.driver.host.spool.append(l.queue, m, n)
	if err != nil {
		if errors.Is(err, spool.ErrFull) {
			return err
		}
		return fmt.Errorf("logger %s: spooling a message: %w", l.label(), err)
	}
	l.takeRoom(size)
	l.counts.accepted.add(1, size)
	return nil
}

// tellGap puts a message into the stream that says what was dropped.
func (l *logger) tellGap() error {
	g := l.gap
	l.gap = gap{}
	m := g.marker(l.queue.Last() + 1)
	defer logdriver.PutMessage(m)
	err := l.push(m, wire.Measure(m))
	if err != nil {
		l.gap = g
	}
	return err
}

func (l *logger) hasRoom(size int) bool { return l.fits(size) && l.hasRoomFor(size) }

// fits tells whether l may take one more message as far as its own bounds are concerned.
func (l *logger) fits(size int) bool {
	// A small buffer takes a large message when it is empty.
	return l.queue.Count() < l.maxMessages && (l.queue.Bytes()+size <= l.overflow.bytes || l.queue.Count() == 0)
}

// makeRoom does what the logger's policy says where there is no room for size
// bytes. It is called with l.mu; deadline is as for awaitRoom.
func (l *logger) makeRoom(size int, deadline *time.Time) error {
	if l.overflow.patience > 0 && l.awaitProgress(size, deadline, anything) {
		return nil
	}
	switch l.overflow.drop {
	case dropOldest:
		for !l.hasRoom(size) {
			if !l.dropOldest() {
				return l.dropNewest(size)
			}
		}
		return nil
	case dropNewest:
		return l.dropNewest(size)
	default:
		return l.awaitRoom(deadline, func() bool { return l.hasRoom(size) })
	}
}

// dropOldest removes messages that were not sent. It returns false if there are
// none, or they cannot be removed.
func (l *logger) dropOldest() bool {
	held, before := l.queue.Count(), l.queue.Bytes()
	messages, size, marks, err := l.driver.host.spool.dropOldest(l.queue, func(d spool.Dropped) *logdriver.Message {
		g := gap{counter{d.Messages, d.Bytes}, d.First - 1}
		return g.marker(d.Last + 1)
	})
	if messages == 0 {
		if err != nil && l.counts.lastFailure != err.Error() { // each Log tries again
			l.counts.lastFailure = err.Error()
			l.driver.log.Error("the oldest messages cannot be dropped", "logger", l.label(), "error", err)
		}
		return false
	}
	if err != nil {
		l.driver.log.Warn("no room to tell in the stream what was dropped", "logger", l.label(), "messages", messages, "error", err)
	}
	l.counts.dropped[droppedOldest].add(messages, size)
	l.counts.remark(marks, l.queue.Bytes()-before+size)
	l.freeRoom(int64(held)-int64(l.queue.Count()), before-l.queue.Bytes())
	return true
}

// dropNewest counts the message for which there is no room.
func (l *logger) dropNewest(size int) error {
	if l.gap.messages == 0 {
		l.gap.after = l.queue.Last()
	}
	l.gap.add(1, size)
	l.counts.accepted.add(1, size)
	l.counts.dropped[droppedNewest].add(1, size)
	return errDropped
}

var errDropped = fmt.Errorf("%w: message dropped, as mode=non-blocking asks for", logdriver.ErrSpoolFull)

// noteFull takes note of a store without room, of which err says why. It is called
// with l.mu.
func (l *logger) noteFull(err error) {
	if err != spool.ErrFull { //nolint:errorlint // the plain one has no more to tell
		l.counts.lastFailure = err.Error()
		l.driver.host.spool.full.note(err)
	}
}

// awaitStore waits for room in the store, which cause says why it is full. Nobody
// tells when there is room on a disk again: it ends after a while to try.
func (l *logger) awaitStore(deadline *time.Time, cause error) error {
	retry := time.AfterFunc(spool.RetryPause, func() {
		l.mu.Lock()
		l.notify()
		l.mu.Unlock()
		l.driver.host.spool.full.tell()
	})
	defer retry.Stop()
	woken := false
	err := l.awaitRoom(deadline, func() bool { defer func() { woken = true }(); return woken })
	if err != nil {
		return fmt.Errorf("%w: %w", err, cause)
	}
	return nil
}

// awaitRoom waits, without l.mu that it is called with, until ok returns true or
// the logger is closing. ok is asked first and whenever something has changed.
// Waiting ends at the deadline, which is set when a call of Log waits for the first
// time: it may wait again when others were faster.
func (l *logger) awaitRoom(deadline *time.Time, ok func() bool) error {
	l.beginWaiting(deadline)
	timer := time.NewTimer(time.Until(*deadline))
	defer timer.Stop()
	for !l.closing {
		own, others := l.whenChanged(), l.room.wait()
		if ok() {
			return nil
		}
		timedOut := !time.Now().Before(*deadline)
		l.mu.Unlock()
		if !timedOut {
			select {
			case <-own:
			case <-others:
			case <-timer.C:
				timedOut = true
			}
		}
		l.mu.Lock()
		if timedOut {
			return fmt.Errorf("logger %s: %w: no room for %v, %d messages (%d bytes) are waiting for driver %s%s",
				l.label(), logdriver.ErrSpoolFull, l.driver.host.cfg.Timeouts.Log, l.queue.Count(), l.queue.Bytes(), l.driver.name, l.blocked.suffix())
		}
		if ok() {
			return nil
		}
	}
	return nil
}

// beginWaiting sets the deadline when a call of Log waits for the first time. It is called
// with l.mu.
func (l *logger) beginWaiting(deadline *time.Time) {
	if deadline.IsZero() {
		*deadline = time.Now().Add(l.driver.host.cfg.Timeouts.Log)
		l.counts.waits++
	}
}
