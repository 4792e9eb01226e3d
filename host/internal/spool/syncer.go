package spool

import (
	"sync"
	"time"
)

// Syncer makes an arena durable on behalf of many who wait: those that come
// while a sync runs share the next one.
type Syncer struct {
	sync func() error

	mu      sync.Mutex
	running bool
	next    *syncRound
}

type syncRound struct {
	done chan struct{}
	err  error
}

// NewSyncer returns a Syncer that calls sync.
func NewSyncer(sync func() error) *Syncer { return &Syncer{sync: sync} }

// Commit returns when everything that was appended before the call is durable.
func (s *Syncer) Commit() error {
	s.mu.Lock()
	if s.next == nil {
		s.next = &syncRound{done: make(chan struct{})}
	}
	round := s.next
	if s.running {
		s.mu.Unlock()
		<-round.done
		return round.err
	}
	s.running = true
	for s.next != nil {
		current := s.next
		s.next = nil
		s.mu.Unlock()
		current.err = s.sync()
		close(current.done)
		s.mu.Lock()
	}
	s.running = false
	s.mu.Unlock()
	return round.err
}

// Every commits at intervals until stop is closed, and once more then. Errors go
// to report.
func (s *Syncer) Every(interval time.Duration, stop <-chan struct{}, report func(error)) {
	t := time.NewTicker(interval)
	defer t.Stop()
	for stopping := false; !stopping; {
		select {
		case <-t.C:
		case <-stop:
			stopping = true
		}
		if err := s.Commit(); err != nil {
			report(err)
		}
	}
}
