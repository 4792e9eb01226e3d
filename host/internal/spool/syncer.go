package spool

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Syncer makes an arena durable on behalf of many who wait: those that come
// while a sync runs share the next one.
type Syncer struct {
	sync func() error
	wg   sync.WaitGroup // the goroutine that syncs

	mu      sync.Mutex
	running bool
	stopped bool
	next    *syncRound
}

type syncRound struct {
	done chan struct{}
	err  error
}

// NewSyncer returns a Syncer that calls sync.
func NewSyncer(sync func() error) *Syncer { return &Syncer{sync: sync} }

// Commit returns when everything that was appended before the call is durable, or
// with an error that is context.DeadlineExceeded when that takes longer than limit.
func (s *Syncer) Commit(limit time.Duration) error {
	round := s.join()
	late := time.NewTimer(limit)
	defer late.Stop()
	select {
	case <-round.done:
		return round.err
	case <-late.C:
		return fmt.Errorf("it takes the disk longer than %v: %w", limit.Round(time.Millisecond), context.DeadlineExceeded)
	}
}

// join returns the next sync that begins.
func (s *Syncer) join() *syncRound {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return stoppedRound()
	}
	if s.next == nil {
		s.next = &syncRound{done: make(chan struct{})}
	}
	if !s.running {
		s.running = true
		s.wg.Go(s.run)
	}
	return s.next
}

// run syncs until nobody waits for it.
func (s *Syncer) run() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.next != nil {
		current := s.next
		s.next = nil
		s.mu.Unlock()
		current.err = s.sync()
		close(current.done)
		s.mu.Lock()
	}
	s.running = false
}

// Stop returns when no sync runs, and lets none begin again.
func (s *Syncer) Stop() {
	s.mu.Lock()
	s.stopped = true
	s.mu.Unlock()
	s.wg.Wait()
}

func stoppedRound() *syncRound {
	r := &syncRound{done: make(chan struct{}), err: errors.New("the spool is closed")}
	close(r.done)
	return r
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
		round := s.join()
		if <-round.done; round.err != nil {
			report(round.err)
		}
	}
}
