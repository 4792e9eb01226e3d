package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/logplug/logplug/drivers/journald/internal/journal"
	"github.com/logplug/logplug/sdk/remote"
)

// maxWindow is the highest number of messages that are sent before they are seen in
// the journal.
const maxWindow = 512

// errNotStored reports messages that journald has taken and not stored.
var errNotStored = errors.New("journald has not stored messages that it was sent; it drops what exceeds RateLimitBurst= " +
	"(journald.conf, or LogRateLimitBurst= of the service that logs) or what the disk has no room for, and stores nothing with Storage=none")

// store watches the journal for what is sent to it.
type store struct {
	sock    *socket
	entries *journal.Reader // of the stream; what is behind it is new
	window  int             // messages to send at once
	unsure  bool            // messages were sent whose fate is not known
	have    map[uint64]bool // stored ones among those that will be sent again
}

func newStore(sock *socket, entries *journal.Reader, have map[uint64]bool) *store {
	entries.ForwardOnly()
	return &store{sock: sock, entries: entries, window: maxWindow, have: have}
}

// resolve finds out which of the messages that were sent in vain are stored all
// the same.
func (s *store) resolve(ctx context.Context) error {
	if !s.unsure {
		return nil
	}
	if err := s.sock.settle(ctx); err != nil {
		return err
	}
	if err := s.entries.Refresh(); err != nil {
		return err
	}
	var e journal.Entry
	for {
		ok, err := next(ctx, nil, s.entries, &e)
		if !ok && err != nil {
			return err
		}
		if !ok {
			break
		}
		if err == nil {
			s.have[ordinal(&e)] = true
		}
	}
	s.unsure = false
	return nil
}

// await waits until n messages that were sent are in the journal.
func (s *store) await(ctx context.Context, n uint64) error {
	const unknown = -1
	var (
		p       pause
		touched bool // an empty datagram follows the messages
		stored  uint64
		queued  = unknown
		since   = time.Now()
	)
	for {
		// In this order: an empty queue means that what is visible is all.
		left, err := remote.Unsent(s.sock.conn)
		if err != nil {
			return fmt.Errorf("ask for journald's queue: %w", err)
		}
		if err := s.entries.Refresh(); err != nil {
			return err
		}
		switch now := s.entries.Pending(); {
		case now >= n:
			s.confirmed()
			return nil
		case left == 0 && touched:
			s.window = 1
			return fmt.Errorf("%w: %d of %d", errNotStored, n-now, n)
		case left == 0:
			// It may be about to store the last one. It has done so once it
			// takes the next datagram.
			if err := s.sock.touch(ctx); err != nil {
				return err
			}
			touched = true
		case left != queued || now != stored:
			queued, stored, since = left, now, time.Now()
		case time.Since(since) > stallTime:
			return fmt.Errorf("wait for journald to store messages: it has done nothing for %v", stallTime)
		}
		if err := p.wait(ctx); err != nil {
			return err
		}
	}
}

// confirmed notes that everything that was sent is stored.
func (s *store) confirmed() {
	s.entries.SkipAll()
	s.unsure = false
	s.window = min(2*s.window, maxWindow)
}

// sync makes survive a loss of power what is stored.
func (s *store) sync() error {
	if err := s.entries.Refresh(); err != nil {
		return err
	}
	return s.entries.Sync()
}
