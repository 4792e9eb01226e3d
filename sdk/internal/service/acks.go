package service

import (
	"sync"

	"github.com/logplug/logplug/shared/wire"
)

const (
	// maxAckBytes is about how large a response with acknowledgements may grow.
	maxAckBytes = 512 << 10
	// maxAckFailures bounds the failures in one acknowledgement.
	maxAckFailures = 128
	// Estimates of encoded sizes.
	ackBytes     = 32
	failureBytes = 16
)

// ackQueue lists the loggers that have something to acknowledge.
type ackQueue struct {
	wake chan struct{} // holds a token if there may be something to do

	mu    sync.Mutex
	dirty []*logger
}

func newAckQueue() *ackQueue { return &ackQueue{wake: make(chan struct{}, 1)} }

// add lists l. The caller holds l.mu and has set l.dirty.
func (q *ackQueue) add(l *logger) {
	q.mu.Lock()
	q.dirty = append(q.dirty, l)
	q.mu.Unlock()
	q.poke()
}

func (q *ackQueue) poke() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take moves the list to the caller, who lends an empty one.
func (q *ackQueue) take(empty []*logger) []*logger {
	q.mu.Lock()
	defer q.mu.Unlock()
	taken := q.dirty
	q.dirty = empty
	return taken
}

// ack returns the logger's acknowledgement and about how many bytes it takes.
// Nothing is due then, but failures are kept until sent: another stream may take the
// place of the one that is to tell them.
func (l *logger) ack() (wire.Ack, int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dirty = false
	a := wire.Ack{Logger: l.id, Seq: l.settled, Failures: l.failures, Blocked: l.blocked}
	if len(a.Failures) > maxAckFailures {
		// The sequence must not run ahead of the failures that it covers.
		a.Failures = a.Failures[:maxAckFailures:maxAckFailures]
		a.Seq = l.failures[maxAckFailures].Seq - 1
		l.markLocked()
	}
	size := ackBytes + len(a.Blocked)
	for i := range a.Failures {
		size += failureBytes + len(a.Failures[i].Reason)
	}
	return a, size
}

// sent takes note of an acknowledgement that has left.
func (l *logger) sent(a *wire.Ack) {
	if len(a.Failures) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	told, n := a.Failures[len(a.Failures)-1].Seq, 0
	for n < len(l.failures) && l.failures[n].Seq <= told {
		n++
	}
	if l.failures = l.failures[n:]; len(l.failures) == 0 {
		l.failures = nil
	}
}

// unsent makes an acknowledgement due that could not be sent.
func (l *logger) unsent() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.markLocked()
}

// sendAcks sends acknowledgements until the stream ends, or until everything is
// settled after the host has stopped sending. It closes ws.acked.
func (ws *writeStream) sendAcks() {
	defer close(ws.acked)
	for {
		select {
		case <-ws.svc.acks.wake:
		case sent := <-ws.flush:
			if ws.sendDirty() != nil {
				return
			}
			close(sent)
			continue
		case <-ws.eof:
			_ = ws.awaitSettled() // either way, nothing more is sent
			return
		case <-ws.ended:
			ws.svc.acks.poke() // for the stream that comes after
			return
		}
		if ws.sendDirty() != nil {
			return
		}
	}
}

// awaitSettled goes on sending until no worker runs.
func (ws *writeStream) awaitSettled() error {
	for ws.svc.working.Load() > 0 {
		select {
		case <-ws.svc.acks.wake:
		case sent := <-ws.flush:
			close(sent) // soon: what is due is sent below
		case <-ws.ended:
			ws.svc.acks.poke()
			return errStreamEnded
		}
		if err := ws.sendDirty(); err != nil {
			return err
		}
	}
	return ws.sendDirty()
}
