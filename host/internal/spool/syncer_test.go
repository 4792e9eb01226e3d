package spool

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestCommitIsBounded: a disk that hangs makes nobody wait for longer than allowed.
// Whoever comes meanwhile waits for a sync that begins later.
func TestCommitIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		syncs, hang := 0, make(chan struct{})
		s := NewSyncer(func() error {
			syncs++
			<-hang
			return nil
		})
		for range 3 {
			began := time.Now()
			if err := s.Commit(time.Second); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
				t.Errorf("after %v: %v", time.Since(began), err)
			}
		}
		done := make(chan error)
		go func() { done <- s.Commit(time.Hour) }()
		synctest.Wait()
		if syncs != 1 {
			t.Errorf("%d syncs at a time", syncs)
		}
		close(hang)
		if err := <-done; err != nil || syncs != 2 {
			t.Errorf("%d syncs: %v", syncs, err)
		}
		s.Stop()
		if err := s.Commit(time.Second); err == nil || syncs != 2 {
			t.Errorf("after Stop, %d syncs: %v", syncs, err)
		}
	})
}
