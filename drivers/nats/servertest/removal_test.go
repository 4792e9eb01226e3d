package servertest

import (
	"bytes"
	"errors"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/logplug/logplug/shared/logdriver"
)

// purge removes the first messages of the stream, up to, and without, that at a place.
func (n *node) purge(t *testing.T, behind uint64) {
	t.Helper()
	s, err := n.client(t).Stream(t.Context(), "LOGPLUG")
	if err == nil {
		err = s.Purge(t.Context(), jetstream.WithPurgeSequence(behind))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A follower that was overtaken says so, also if what comes next is no line but tells
// that the log was closed, or opened again.
func TestOvertakenByEvent(t *testing.T) {
	t.Parallel()
	// The first message says that the log is open, and lines 1 to 20 follow.
	for name, first := range map[string]uint64{"close": 22, "open": 23} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := startNode(t)
			m := newMachine(n, nil)
			w := m.open(t, "id")
			write(t, w, numbered(1, 10))
			a := follow(t, n, "id", 10)
			write(t, w, numbered(11, 20))
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			write(t, closing(t, m.open(t, "id")), numbered(21, 21))
			n.purge(t, first)
			a.back(t)
			wantGap(t, a.LogWatcher)
		})
	}
}

// That what it has read is removed is no reason for a follower to end.
func TestReadIsRemoved(t *testing.T) {
	t.Parallel()
	for name, more := range map[string]int{"lines follow": 12, "the end follows": 10} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := startNode(t)
			w := newMachine(n, nil).open(t, "id")
			write(t, w, numbered(1, 10))
			a := follow(t, n, "id", 10)
			n.purge(t, 12)
			write(t, w, numbered(1, more))
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			a.back(t)
			same(t, collect(t, a.LogWatcher), 11, more)
		})
	}
}

// A reading of what was there does not end as if it were complete when the rest has been
// removed.
func TestOvertakenToTheEnd(t *testing.T) {
	t.Parallel()
	for name, follows := range map[string]bool{"nothing follows": false, "a line follows": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := startNode(t)
			w := closing(t, newMachine(n, nil).open(t, "id"))
			const total = 3000 // more than is in flight
			msgs := numbered(1, total)
			for _, m := range msgs {
				m.Line = bytes.Repeat([]byte("x"), 10<<10)
			}
			write(t, w, msgs)
			slow := w.ReadLogs(t.Context(), logdriver.ReadConfig{Tail: -1})
			defer slow.Close()
			receive(t, slow)
			n.purge(t, total+2)
			if follows {
				write(t, w, numbered(total+1, total+1))
			}
			lines, err := drain(slow)
			if !errors.Is(err, logdriver.ErrGap) || len(lines) >= total-1 {
				t.Errorf("after %d lines: %v", len(lines), err)
			}
		})
	}
}
