package host

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/logplug/logplug/host/internal/spool"
)

// A disk that is slow is told apart from a message that was not accepted.
func TestNotDurable(t *testing.T) {
	t.Parallel()
	synced := make(chan struct{})
	s := &spooling{always: true, syncer: spool.NewSyncer(func() error { <-synced; return nil })}
	err := s.commit(time.Now())
	if !errors.Is(err, ErrNotDurable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("it fails with %v", err)
	}
	close(synced)
	s.syncer.Stop()
}
