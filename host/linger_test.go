package host

import (
	"testing"
	"time"
)

// TestLoneMessages: some messages may leave alone at once, and more in the course of time, but
// not beside a request with many.
func TestLoneMessages(t *testing.T) {
	now := time.Now()
	g := linger{max: time.Second, period: 1}
	leaveAlone := func() (n int) {
		for ; g.lone(now); n++ {
			g.left(now, true)
			g.answered()
		}
		return n
	}
	if n := leaveAlone(); n != maxLone {
		t.Errorf("%d at once, expected %d", n, maxLone)
	}
	now = now.Add(3 * loneTime)
	if n := leaveAlone(); n != 3 {
		t.Errorf("%d after three times %v", n, loneTime)
	}
	now = now.Add(time.Hour)
	g.left(now, false)
	if g.lone(now) {
		t.Error("one leaves alone right after many")
	}
	now = now.Add(loneTime)
	if n := leaveAlone(); n != 1 {
		t.Errorf("%d some time after many", n)
	}
	now = now.Add(time.Hour)
	for range maxUnanswered - 1 {
		g.left(now, true)
		now = now.Add(loneTime)
	}
	if g.lone(now) {
		t.Error("one leaves alone although an answer is to be waited for")
	}
}
