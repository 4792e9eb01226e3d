package host

import (
	"fmt"
	"sync"

	"github.com/logplug/logplug/shared/wire"
)

// receiver reads the acknowledgements of a session.
type receiver struct {
	mu    sync.Mutex // held by whoever receives; nobody who logs waits for it
	resp  wire.WriteResponse
	ready bool // there are messages to send of which nobody was told
}

// receive is the goroutine that reads acknowledgements, but for what others find at hand.
func (s *session) receive() {
	for {
		ready, ok := s.receiveOne()
		if !ok {
			return
		}
		if ready {
			s.sendOn()
		}
	}
}

// receiveOne waits for a response and settles what it acknowledges. It returns whether messages have
// become ready, and false when the session is over.
func (s *session) receiveOne() (ready, ok bool) {
	r, prompt := &s.receiver, s.sender.prompt
	for over := false; ; over = prompt.AwaitMsg() != nil { // then RecvMsg tells why
		r.mu.Lock()
		if prompt == nil || over || prompt.ReadAhead() {
			ok = s.takeResponse() && s.settleResponse()
			ready = r.takeReady()
			r.mu.Unlock()
			return ready, ok
		}
		r.mu.Unlock()
	}
}

// receiveHere settles what the driver has acknowledged, as far as that is at hand: all of what is read
// ahead here, as whoever waits for more does not see that. The caller is to send what has
// become ready. What the driver rejects is left to others: it is written to a file, for which nobody
// who logs waits.
func (s *session) receiveHere() {
	r, prompt := &s.receiver, s.sender.prompt
	if !r.mu.TryLock() {
		return
	}
	if s.ctx.Err() != nil { // else the session waits for whoever has the mutex
		r.mu.Unlock()
		return
	}
	for prompt.ReadAhead(); prompt.AtHand() && s.takeResponse(); {
		if r.resp.HasFailures() {
			go func() { // still the one that receives
				defer r.mu.Unlock()
				for s.settleResponse() && prompt.AtHand() && s.takeResponse() {
				}
				if r.takeReady() {
					s.hurry()
				}
			}()
			return
		}
		if !s.settleResponse() {
			break
		}
	}
	r.takeReady()
	r.mu.Unlock()
}

func (r *receiver) takeReady() bool {
	ready := r.ready
	r.ready = false
	return ready
}

// takeResponse receives a response. It returns false when the session is over. It is called with
// the receiver's mutex.
func (s *session) takeResponse() (ok bool) {
	r := &s.receiver
	if err := s.stream.RecvMsg(&r.resp); err != nil {
		s.fail(fmt.Errorf("write stream of driver %s ended: %w", s.driver.name, wire.FromStatus(s.driver.name, err)))
		return false
	}
	if s.endWait((*linger).answered) {
		r.ready = true
	}
	return true
}

// settleResponse settles what the response acknowledges. It returns false when the session is
// over. It is called with the receiver's mutex.
func (s *session) settleResponse() (ok bool) {
	r := &s.receiver
	for i := range r.resp.Acks {
		a := &r.resp.Acks[i]
		s.mu.Lock()
		l := s.loggers[a.Logger]
		s.mu.Unlock()
		if l == nil {
			continue // closed meanwhile
		}
		if err := l.settle(s, a); err != nil {
			s.fail(fmt.Errorf("driver %s violates the protocol: %w", s.driver.name, err))
			return false
		}
	}
	return true
}

// enqueueSettled is enqueue for what a response has made ready. It is called with the receiver's
// mutex.
func (s *session) enqueueSettled(l *logger) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.enqueueLocked(l) {
		s.receiver.ready = true
	}
}

// sendOn sends what a response has made ready, as far as that is possible without waiting.
func (s *session) sendOn() {
	for s.sender.prompt != nil {
		sent, ok := s.sendHere(false)
		if !ok {
			break
		}
		if sent < fullBytes {
			return
		}
	}
	s.hurry()
}
