package host

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/logplug/logplug/shared/wire"
)

const (
	// pressBytes is how much may wait before the goroutine that logs sends it: as many blocks
	// as fit into a request, but for the last one, to which it still adds.
	pressBytes = maxFrameBytes - wire.BlockBytes
	// heavyBytes is the size above which messages are left to the sender unless they come alone: it is
	// they that take time, and not to wake it.
	heavyBytes = 64 << 10
)

// press returns what sends when much has come to wait for that. It is called with l.mu.
func (l *logger) press() func() {
	l.pressed = l.unsent()
	switch {
	case l.session == nil:
		return nil
	case l.heavy:
		return l.session.hurry
	}
	return l.session.dispatchMuch
}

func (l *logger) unsent() int {
	return l.queue.Bytes() - l.inflight
}

// schedule returns the session to hand l to with enqueue, or nil if there is
// nothing to send now. It is called with l.mu.
func (l *logger) schedule() *session {
	if l.session == nil || l.paused || l.queued || l.crowded() || !l.queue.Unsent() ||
		l.suspect.limit > 0 && l.inflight > 0 {
		return nil
	}
	l.queued = true
	return l.session
}

// crowded tells whether the rest of the window is too small to be used.
func (l *logger) crowded() bool {
	room := l.window - l.inflight
	return room <= 0 || room < l.window/4 && l.queue.Bytes()-l.inflight > room
}

// tight tells whether somebody may soon have no room for messages: the buffer of a logger that drops
// some is more than half full, or what all spools may hold together.
func (l *logger) tight() bool {
	return !l.room.plenty() || l.overflow.drop != "" && (l.queue.Bytes() > l.overflow.bytes/2 || l.queue.Count() > l.maxMessages/2)
}

// fill moves messages into w, up to limit bytes, for the sender of s. It reports
// whether more could be sent at once.
func (l *logger) fill(s *session, w *wire.WriteRequest, limit int) (more bool) {
	more, err := l.takeInto(s, w, limit)
	if err != nil {
		if !l.onItsWay() {
			s.endProbe(l)
		}
		l.driver.log.Error("messages cannot be read from the spool", "logger", l.label(), "error", err)
	}
	return more
}

// onItsWay tells whether messages were sent that are not settled.
func (l *logger) onItsWay() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.inflight > 0
}

// takeInto is fill, of which the error says why nothing can be read from the spool.
func (l *logger) takeInto(s *session, w *wire.WriteRequest, limit int) (more bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.session != s {
		return false, nil
	}
	defer func() { l.pressed = 0 }()
	if l.paused || l.suspect.limit > 0 && (l.inflight > 0 || !s.mayProbe(l)) {
		l.queued = false
		return false, nil
	}
	room := l.window - l.inflight
	alone := 0 // the largest message that may exceed limit
	switch {
	case w.Len() > 0:
	case l.inflight == 0:
		alone = math.MaxInt // one that exceeds the window goes when nothing else is on its way
	default:
		alone = room
	}
	n, err := l.driver.host.spool.take(l.queue, w, l.id, min(limit, room), alone, l.suspect.until(l.queue))
	if n > 0 && l.inflight == 0 {
		l.counts.progress = time.Now()
	}
	l.inflight += n
	l.everSent = max(l.everSent, l.queue.Sent())
	if err != nil {
		l.queued = false
		l.blocked.set(err.Error())
		return false, err
	}
	l.queued = l.queue.Unsent() && !l.crowded()
	if n == 0 && l.queued && w.Len() == 0 {
		l.queued = false // the rest of the window is too small for the next message
		s.hasten()
	}
	if n > 0 && l.asked.session == s && l.asked.last == l.queue.Last() {
		l.hasten() // it was asked for what had not been sent
	}
	if l.suspect.limit > 0 || l.crowded() || l.tight() {
		s.hasten() // nothing follows before it is settled, or little
	}
	return l.queued, nil
}

// settle takes an acknowledgement. An error means that the driver violates the
// protocol.
func (l *logger) settle(s *session, a *wire.Ack) error {
	if len(a.Failures) > 0 {
		l.setAside(s, a)
	}
	l.mu.Lock()
	if l.session != s {
		l.mu.Unlock()
		return nil
	}
	if a.Seq > l.queue.Sent() || a.Seq < l.queue.Acked() {
		err := fmt.Errorf("acknowledgement of message %d of logger %s, expected %d to %d",
			a.Seq, l.label(), l.queue.Acked(), l.queue.Sent())
		l.mu.Unlock()
		return err
	}
	failures := l.newFailures(a)
	failed := l.countFailures(failures)
	messages, size := l.driver.host.spool.ack(l.queue, a.Seq)
	l.inflight -= size
	acquitted := l.suspect.progress(l.queue)
	l.counts.settle(messages, size, failed)
	if messages > 0 || a.Blocked != "" {
		l.counts.progress = time.Now()
	}
	l.blocked.set(a.Blocked)
	l.freeRoom(int64(messages), size)
	if messages > 0 {
		s.progressed.Store(true)
	}
	// A part may reach beyond the suspects: what is left of it is no probe, and more may
	// follow it at any time.
	probed := l.inflight == 0 || acquitted
	next, heavy := l.schedule(), l.heavy
	l.notify()
	l.mu.Unlock()
	if probed {
		s.endProbe(l)
	}
	switch {
	case next == nil:
	case heavy:
		next.enqueue(l)
	default:
		next.enqueueSettled(l)
	}
	if n := len(failures); n > 0 {
		l.driver.log.Error("driver rejected messages", "logger", l.label(), "messages", n,
			"first", failures[0].Seq, "last", failures[n-1].Seq, "reason", failures[n-1].Reason)
	}
	return nil
}

// setAside writes the messages that a gives up to the file of dead letters, before
// they leave the spool: whenever this process is killed, one of both has them.
func (l *logger) setAside(s *session, a *wire.Ack) {
	var letters []DeadLetter
	l.mu.Lock()
	if l.session == s && a.Seq >= l.queue.Acked() && a.Seq <= l.queue.Sent() {
		letters = l.deadLetters(l.newFailures(a))
	}
	l.mu.Unlock()
	l.driver.host.letters.add(letters)
}

// newFailures returns the failures that a newly settles, in order and each once.
func (l *logger) newFailures(a *wire.Ack) []wire.Failure {
	list := slices.DeleteFunc(a.Failures, func(f wire.Failure) bool {
		return f.Seq <= l.queue.Acked() || f.Seq > a.Seq
	})
	slices.SortStableFunc(list, func(f, g wire.Failure) int { return cmp.Compare(f.Seq, g.Seq) })
	list = slices.CompactFunc(list, func(f, g wire.Failure) bool { return f.Seq == g.Seq })
	if n := len(list); n > 0 {
		l.counts.lastFailure = list[n-1].Reason
	}
	return list
}

// countFailures returns what the spool holds of the messages that a driver
// rejects: it may name some that were dropped. It is called with l.mu.
func (l *logger) countFailures(failures []wire.Failure) (c counter) {
	if len(failures) == 0 {
		return c
	}
	seqs := make([]uint64, len(failures))
	for i := range failures {
		seqs[i] = failures[i].Seq
	}
	c.add(l.driver.host.spool.measure(l.queue, seqs))
	return c
}

// attach connects the logger to a new process of its driver, and sends again
// what that does not hold. It returns false if the logger is gone, or s has a
// successor, which has the logger or is about to open it.
func (l *logger) attach(s *session, o opened) bool {
	l.mu.Lock()
	if l.gone || s.retired.Load() {
		l.mu.Unlock()
		return false
	}
	if s.ctx.Err() != nil { // its successor attaches l, or has done so
		l.mu.Unlock()
		return true
	}
	l.goOn(o.lastSeq)
	l.goesOn = false // from now on it is known what was sent
	sent, claimed := l.everSent, o.lastSeq
	if claimed > sent {
		o.lastSeq = 0
	}
	if o.lastSeq > l.queue.Acked() {
		l.settleHeld(o.lastSeq)
	}
	l.counts.resent += l.queue.Sending()
	l.queue.Rewind()
	l.session, l.id, l.window, l.inflight, l.queued, l.pressed, l.paused = s, o.id, o.window, 0, false, 0, false
	l.asked = asked{} // which holds the session before
	l.driver.host.spool.share(l.queue, s.proc.WriteMemory())
	if l.overflow.drop == dropOldest {
		l.window = min(l.window, l.overflow.bytes/2) // what is on its way cannot be dropped
	}
	l.blocked.set("")
	next := l.schedule()
	l.notify()
	l.mu.Unlock()
	if claimed > sent {
		l.driver.log.Warn("driver claims to hold messages that were never sent; ignoring it",
			"logger", l.label(), "claimed", claimed, "sent", sent)
	}
	if next != nil {
		next.enqueue(l)
	}
	return true
}

// settleHeld takes out of the spool what the driver's sink holds, up to seq. It is called
// with l.mu.
func (l *logger) settleHeld(seq uint64) {
	messages, size := l.driver.host.spool.ack(l.queue, seq)
	l.counts.acked.add(messages, size)
	l.freeRoom(int64(messages), size)
}

// detach tells the logger that the process behind s is gone.
func (l *logger) detach(s *session, reason string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.session == s {
		l.session = nil
	}
	l.blocked.set(reason)
}

// setBlocked records why no process has the logger open, unless one has meanwhile.
func (l *logger) setBlocked(reason string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.session == nil {
		l.blocked.set(reason)
	}
}
