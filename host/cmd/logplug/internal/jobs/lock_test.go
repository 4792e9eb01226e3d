package jobs

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestHeldLock: who hangs or is stopped with the lock does not keep all others for ever.
func TestHeldLock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // the waiting passes at once
		s := NewStore(t.TempDir())
		unlock, err := s.lock()
		if err != nil {
			t.Fatal(err)
		}
		var held *heldError
		if _, err := s.Claim(newJob(s, "a")); !errors.As(err, &held) {
			t.Errorf("claiming while another has the lock: %v", err)
		}
		time.AfterFunc(patience/2, unlock)
		claim(t, s, "a")
	})
}
