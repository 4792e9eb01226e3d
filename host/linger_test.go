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

// TestFullRequests: after one, messages wait for others, at most for restTime, whatever the driver
// answers; some time later they do not.
func TestFullRequests(t *testing.T) {
	now := time.Now()
	g := linger{max: time.Second, period: 1}
	g.left(now, false)
	if g.limit() != 0 {
		t.Error("messages wait after a request that is not full")
	}
	g.filled(now)
	g.answered()
	if g.limit() != restTime || g.lone(now) {
		t.Errorf("messages wait for %v after a full request", g.limit())
	}
	g.over()
	g.left(now.Add(busyTime/2), false)
	if g.limit() != restTime {
		t.Error("messages do not wait a short time after a full request")
	}
	g.over()
	now = now.Add(busyTime)
	g.left(now, false)
	if g.limit() != 0 {
		t.Errorf("messages wait for %v some time after a full request", g.limit())
	}
	never := linger{period: 1}
	never.left(now, false)
	never.filled(now)
	if never.limit() != 0 {
		t.Error("messages wait although none is to")
	}
}
