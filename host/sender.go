package host

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/logplug/logplug/shared/wire"
)

const (
	// maxFrameBytes is how large a request of the Write stream grows before it
	// is sent; a single message may exceed it.
	maxFrameBytes = 256 << 10
	// maxShareBytes is how much of it one logger may take at a time while others wait.
	maxShareBytes = 128 << 10
	// fullBytes is the size from which a request is a full one.
	fullBytes = maxFrameBytes / 2
	// maxLoneBytes is the most that the goroutine that logs sends of lone messages, unless a
	// single message exceeds it.
	maxLoneBytes = 4 << 10
)

// sender writes the Write stream of a session.
type sender struct {
	prompt promptStream // the stream, if it is one

	mu    sync.Mutex // held by whoever writes; nobody who logs waits for it
	over  bool       // nothing more is sent
	req   wire.WriteRequest
	ready []*logger // what is being sent; reused
}

// promptStream is a stream that can be used without waiting.
type promptStream interface {
	writeStream
	// SendNow sends m as far as that is possible without waiting. What is left
	// precedes what is sent afterwards.
	SendNow(m any) error
	// Unfinished tells whether something is left, or sending has failed.
	Unfinished() bool
	// Finish sends what is left.
	Finish() error

	// AwaitMsg waits until there is something to receive, which may be the end.
	AwaitMsg() error
	// ReadAhead reads what there is. It returns false if that, with what was read before, is
	// nothing.
	ReadAhead() bool
	// AtHand tells whether what was read has a message that RecvMsg does not wait for.
	AtHand() bool
}

// enqueue puts l, whose queued flag the caller has set, before the sender.
func (s *session) enqueue(l *logger) {
	s.mu.Lock()
	leave := s.enqueueLocked(l)
	s.mu.Unlock()
	if leave {
		s.hurry()
	}
}

// enqueueLocked returns whether the sender is to be told. It is called with s.mu.
func (s *session) enqueueLocked(l *logger) (leave bool) {
	s.ready = append(s.ready, l)
	s.linger.use(&l.used)
	n := len(s.ready)
	return n == 1 && !s.linger.gathering || n >= busyLoggers
}

// dispatch is enqueue for the goroutine that logs. A lone message it sends itself, where
// that cannot make it wait: to wake the sender would take longer.
func (s *session) dispatch(l *logger) {
	if s.sender.prompt == nil {
		s.enqueue(l)
		return
	}
	s.mu.Lock()
	lone := len(s.ready) == 0 && s.linger.lone(time.Now())
	leave := s.enqueueLocked(l)
	s.mu.Unlock()
	if !leave {
		return
	}
	if lone {
		if _, ok := s.sendHere(true); ok {
			return
		}
	}
	s.hurry()
}

// dispatchMuch sends, from the goroutine that logs, what fills a request, where that cannot make
// it wait, and settles what the driver has acknowledged: where all processors are busy, the goroutines
// that are for that come late.
func (s *session) dispatchMuch() {
	if s.sender.prompt == nil {
		s.hurry()
		return
	}
	s.receiveHere()
	if _, ok := s.sendHere(false); !ok {
		s.hurry()
	}
}

// sendHere sends what is ready, as one request, without waiting; of lone messages it sends little. It
// returns how much that was, and false if the rest is for the sender to do at once.
func (s *session) sendHere(lone bool) (sent int, ok bool) {
	q := &s.sender
	if !q.mu.TryLock() {
		return 0, false
	}
	defer q.mu.Unlock()
	if q.over || q.prompt.Unfinished() {
		return 0, false
	}
	var wait time.Duration
	if q.ready, wait = s.takeReady(q.ready[:0], lone); len(q.ready) == 0 {
		return 0, true // somebody was faster
	}
	limit := maxFrameBytes
	if lone {
		limit = maxLoneBytes
	}
	share := limit
	if len(q.ready) > 1 {
		share = min(limit, maxShareBytes)
	}
	left, served := q.ready[:0], 0
	for _, l := range q.ready {
		if q.req.Len() > limit-limit/8 {
			break // the rest is no turn for anybody
		}
		served++
		if l.fill(s, &q.req, min(share, limit-q.req.Len())) {
			left = append(left, l)
		}
	}
	more := len(left) > 0 || served < len(q.ready)
	s.putBack(q.ready[served:]) // before those that have had their turn
	s.putBack(left)
	clear(q.ready)
	sent = q.req.Len()
	switch {
	case sent == 0:
		s.nothingLeft()
	case q.prompt.SendNow(&q.req) != nil:
		return 0, false // the sender meets the same error
	}
	if sent >= fullBytes {
		wait = s.filled()
	}
	if wait > 0 {
		s.timer.Reset(wait)
	}
	return sent, (!more || wait > 0) && !q.prompt.Unfinished()
}

// filled takes note that the request that leaves is a full one. It returns for how long what is left
// may wait.
func (s *session) filled() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.linger.filled(time.Now())
	return s.linger.limit()
}

// putBack makes loggers ready again that have more to send.
func (s *session) putBack(loggers []*logger) {
	if len(loggers) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ready = append(s.ready, loggers...)
}

// hurry wakes the sender, or ends its lingering.
func (s *session) hurry() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// takeReady swaps the list of loggers with messages for an empty one, and begins
// to gather others. It returns for how long.
func (s *session) takeReady(empty []*logger, lone bool) (ready []*logger, wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ready = s.ready
	if len(ready) == 0 {
		return empty, s.linger.limit()
	}
	s.ready = empty
	s.linger.left(time.Now(), lone)
	return ready, s.linger.limit()
}

// send is the goroutine that writes the stream, but for what others send without waiting.
func (s *session) send() {
	defer s.fail(errors.New("the sender ended"))
	defer s.sender.end()
	defer s.timer.Stop()
	for {
		select {
		case <-s.wake:
		case <-s.timer.C:
			s.endWait((*linger).over)
		case <-s.ctx.Done():
			return
		}
		wait, err := s.sendReady()
		if err != nil {
			s.broken(err)
			return
		}
		if wait > 0 {
			s.timer.Reset(wait)
		}
	}
}

// end lets go of what was not sent. It is in the queues still.
func (q *sender) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.over = true
	q.req.Free()
	if q.prompt != nil {
		_ = q.prompt.Finish() // the session is over, and so is the stream
	}
}

// sendReady sends what is ready, and what sendHere has left. It returns for how long what comes next may
// have to wait.
func (s *session) sendReady() (wait time.Duration, err error) {
	q := &s.sender
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.prompt != nil {
		if err := q.prompt.Finish(); err != nil {
			return 0, s.writeError(err)
		}
	}
	hasten := s.takeHaste()
	q.ready, wait = s.takeReady(q.ready[:0], false)
	if len(q.ready) > 0 {
		err = s.sendAll(&q.req, q.ready)
		clear(q.ready)
	}
	if err == nil && hasten {
		err = s.sendFrame(&q.req) // an empty one asks for acknowledgements
	}
	return wait, err
}

// hasten makes the driver acknowledge soon what is on its way or ready: somebody waits for
// that.
func (s *session) hasten() {
	s.mu.Lock()
	s.haste = true
	s.mu.Unlock()
	s.hurry()
}

// takeHaste tells whether hasten was called. What is ready later is not what that was for.
func (s *session) takeHaste() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	haste := s.haste
	s.haste = false
	return haste
}

// endWait calls end. It returns whether that ended the wait of messages to send.
func (s *session) endWait(end func(*linger)) (leave bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	waited := s.linger.gathering
	end(&s.linger)
	return waited && !s.linger.gathering && len(s.ready) > 0
}

func (s *session) nothingLeft() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.linger.nothingLeft()
}

// sendAll sends what the loggers have, in turns, until all are empty or wait for
// acknowledgements.
func (s *session) sendAll(req *wire.WriteRequest, ready []*logger) error {
	sent := false
	for len(ready) > 0 {
		left := ready[:0]
		for _, l := range ready {
			for had := req.Len(); l.fill(s, req, min(maxShareBytes, maxFrameBytes-had)); had = req.Len() {
				// A message that did not fit behind others leaves in the next frame.
				if req.Len() > had && req.Len() < maxFrameBytes/2 {
					left = append(left, l)
					break
				}
				sent = sent || req.Len() > 0
				if err := s.flushFrame(req); err != nil {
					return err
				}
			}
		}
		ready = left
	}
	if !sent && req.Len() == 0 {
		s.nothingLeft()
	}
	return s.flushFrame(req)
}

func (s *session) flushFrame(req *wire.WriteRequest) error {
	if req.Len() == 0 {
		return nil
	}
	return s.sendFrame(req)
}

func (s *session) sendFrame(req *wire.WriteRequest) error {
	if err := s.stream.SendMsg(req); err != nil {
		return s.writeError(err)
	}
	return nil
}

func (s *session) writeError(err error) error {
	return fmt.Errorf("writing to driver %s: %w", s.driver.name, err)
}
