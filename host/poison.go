package host

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/logplug/logplug/host/internal/launch"
	"github.com/logplug/logplug/host/internal/spool"
)

const (
	// suspectAfter is how many processes in a row must have ended on the same
	// messages of a logger before these are suspected.
	suspectAfter = 2
	// A message that was alone on its way is found guilty when the ends of
	// processes weigh this much: two that ended by themselves, or eight that
	// somebody killed, which is seldom the message's fault.
	guiltyWeight = 8
	exitWeight   = 4
	killWeight   = 1
)

// suspicion finds the message that ends its driver's processes. While it lasts,
// the logger sends a part of its messages at a time, and no other suspect sends
// any; each process that ends halves the part.
type suspicion struct {
	crashes int    // in a row that ended on first
	first   uint64 // the oldest message that was on its way
	last    uint64 // the culprit is not beyond it
	limit   uint64 // how many messages to send at a time; 0 if nothing is suspected
	alone   int    // weight of those in a row that ended on one message alone
}

// until returns the sequence up to which messages may be sent.
func (s *suspicion) until(q *spool.Queue) uint64 {
	if s.limit == 0 {
		return math.MaxUint64
	}
	return q.First() + s.limit - 1
}

// crash takes note of a process that ended with the messages from first to last
// on their way, with a weight. It returns true if first is the culprit.
func (s *suspicion) crash(first, last uint64, weight int) bool {
	if s.crashes == 0 || s.first != first {
		*s = suspicion{crashes: 1, first: first, last: last}
		return false
	}
	s.crashes++
	s.last = last
	if s.crashes < suspectAfter {
		return false
	}
	if s.limit > 0 && first == last {
		s.limit = 1
		s.alone += weight
		return s.alone >= guiltyWeight
	}
	s.alone = 0
	s.limit = max(1, (last-first+1)/2)
	return false
}

// progress takes note of messages that were settled. It returns true if they were the
// last that a part of the messages was sent for.
func (s *suspicion) progress(q *spool.Queue) (acquitted bool) {
	switch {
	case s.crashes == 0 || q.Acked() < s.first:
	case q.Acked() >= s.last:
		acquitted = s.limit > 0
		*s = suspicion{}
	default:
		s.first, s.alone = q.First(), 0
	}
	return acquitted
}

// mayProbe tells whether the suspect l may send. If not, it is scheduled again
// when the other one has what it sent settled. It is called with l.mu.
func (s *session) mayProbe(l *logger) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.probing == nil || s.probing == l {
		s.probing = l
		return true
	}
	s.held = append(s.held, l)
	return false
}

// endProbe lets the next suspect send.
func (s *session) endProbe(l *logger) {
	s.mu.Lock()
	if s.probing != l {
		s.mu.Unlock()
		return
	}
	held := s.held
	s.probing, s.held = nil, nil
	s.mu.Unlock()
	for _, h := range held {
		h.mu.Lock()
		next := h.schedule()
		h.mu.Unlock()
		if next != nil {
			next.enqueue(h)
		}
	}
}

// stalledError is why the host itself ends a process: it does not answer, or makes no
// progress. That is the fault of no message, as far as can be told: of a sink that hangs
// all messages are innocent. One on which a driver deadlocks is not found, therefore.
type stalledError struct{ err error }

func (e *stalledError) Error() string { return e.err.Error() }
func (e *stalledError) Unwrap() error { return e.err }

// suspectAll asks, after the process behind s ended by itself, which loggers had
// messages on their way. It reports whether there were any, which makes it
// worth to try again soon.
func (d *driver) suspectAll(s *session, reason error) (narrowing bool) {
	if stalled := (*stalledError)(nil); errors.As(reason, &stalled) {
		return false
	}
	weight := exitWeight
	if exit := (*launch.ExitError)(nil); errors.As(s.proc.Err(), &exit) && exit.Killed() {
		weight = killWeight
	}
	for _, l := range d.snapshot() {
		guilty, suspect := l.crashed(s, reason, weight)
		narrowing = narrowing || suspect
		if guilty != nil {
			// In this order: whenever this process is killed, the file or the spool
			// has it.
			d.host.letters.add([]DeadLetter{*guilty})
			l.giveUp(guilty)
		}
	}
	return narrowing
}

// crashed draws the conclusions from the end of the process behind s. It returns
// the message that is found guilty, if there is one.
func (l *logger) crashed(s *session, reason error, weight int) (guilty *DeadLetter, suspect bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.session != s || l.inflight == 0 || l.blocked.reason != "" {
		return nil, false
	}
	if !l.suspect.crash(l.queue.First(), l.queue.Sent(), weight) {
		return nil, true
	}
	d := l.letter(l.suspect.first, fmt.Sprintf("driver processes ended again and again when they received it: %v", reason))
	l.suspect = suspicion{}
	return &d, true
}

// giveUp takes a message out of the spool that was set aside.
func (l *logger) giveUp(d *DeadLetter) {
	l.mu.Lock()
	messages, size := l.driver.host.spool.ack(l.queue, d.Seq)
	l.counts.failed.add(messages, size)
	l.counts.lastFailure = d.Reason
	l.counts.progress = time.Now()
	l.freeRoom(int64(messages), size)
	l.notify()
	l.mu.Unlock()
	l.driver.log.Error("message is set aside", "logger", l.label(), "sequence", d.Seq, "reason", d.Reason)
}
