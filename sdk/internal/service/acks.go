package service

import (
	"sync"
	"sync/atomic"
	"time"

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

// Each response wakes the host, on a processor that a message may need: after one,
// acknowledgements wait for others.
const (
	ackPause = 20 * time.Millisecond
	// hastyTime is for how long there is none after the host has asked for acknowledgements: it waits for
	// what takes longer to settle, too.
	hastyTime = 10 * ackPause
	// hurriedPart is the part of a window that ends the pause when it is settled.
	hurriedPart = 8
	// hurriedRequests is how many requests end it: a host may send as many more before it
	// waits for an answer.
	hurriedRequests = 256
)

// ackQueue lists the loggers that have something to acknowledge.
type ackQueue struct {
	wake     chan struct{} // holds a token if there may be something to do
	pause    time.Duration // after a response
	hurried  int           // how many bytes end it when they are settled
	requests atomic.Int64  // received since the last response
	ending   atomic.Int64  // streams that wait for the last worker to end

	mu      sync.Mutex
	dirty   []*logger
	bytes   int       // settled since the last response
	left    time.Time // when that was made
	hasty   time.Time // until then, nothing waits for others
	waiting bool      // the next one leaves with the timer
	timer   *time.Timer
}

func newAckQueue(window int) *ackQueue {
	q := &ackQueue{wake: make(chan struct{}, 1), pause: ackPause, hurried: window / hurriedPart}
	q.timer = time.AfterFunc(time.Hour, q.pauseEnded)
	q.timer.Stop()
	return q
}

func (q *ackQueue) pauseEnded() {
	q.mu.Lock()
	q.waiting = false
	q.mu.Unlock()
	q.poke()
}

// add lists l if it is not listed, for which so many bytes more are settled. It returns whether
// a response is to be made at once. The caller holds l.mu and has set l.dirty.
func (q *ackQueue) add(l *logger, unlisted bool, bytes int, urgent bool) (due bool) {
	q.mu.Lock()
	if unlisted {
		q.dirty = append(q.dirty, l)
	}
	q.bytes += bytes
	due = urgent || q.due()
	q.mu.Unlock()
	return due
}

// due tells whether a response is to be made at once. Otherwise the timer will tell. It is
// called with q.mu.
func (q *ackQueue) due() bool {
	if q.bytes >= q.hurried || q.requests.Load() >= hurriedRequests {
		return true
	}
	if q.waiting {
		return false
	}
	now := time.Now()
	rest := q.pause - now.Sub(q.left)
	if rest <= 0 || now.Before(q.hasty) {
		return true
	}
	q.waiting = true
	q.timer.Reset(rest)
	return false
}

// hasten makes acknowledgements leave at once for a while: the host waits for some. What takes longer
// to settle waits no longer than without that.
func (q *ackQueue) hasten() {
	q.mu.Lock()
	q.hasty = time.Now().Add(hastyTime)
	q.mu.Unlock()
	q.poke()
}

func (q *ackQueue) poke() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// workerEnded wakes the streams that wait for that.
func (q *ackQueue) workerEnded() {
	if q.ending.Load() > 0 {
		q.poke()
	}
}

// take moves the list to the caller, who lends an empty one and makes a response of it.
func (q *ackQueue) take(empty []*logger) []*logger {
	q.mu.Lock()
	defer q.mu.Unlock()
	taken := q.dirty
	q.dirty = empty
	if q.waiting { // also with nothing listed: what has made it wait may be in a response already
		q.waiting = false
		q.timer.Stop()
	}
	if len(taken) == 0 {
		return taken
	}
	q.bytes, q.left = 0, time.Now()
	q.requests.Store(0)
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
		l.markLocked(0, true)
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
	l.markLocked(0, true)
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
	ws.svc.acks.ending.Add(1)
	defer ws.svc.acks.ending.Add(-1)
	for ws.svc.working.Load() > 0 {
		var sent chan<- struct{}
		select {
		case <-ws.svc.acks.wake:
		case sent = <-ws.flush:
		case <-ws.ended:
			ws.svc.acks.poke()
			return errStreamEnded
		}
		if err := ws.sendDirty(); err != nil {
			return err
		}
		if sent != nil {
			close(sent)
		}
	}
	return ws.sendDirty()
}
