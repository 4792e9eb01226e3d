package host

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/logplug/logplug/shared/logdriver"
)

// TestBacklogIsBounded: a producer of large messages waits for its consumer long
// before the watcher's channel is full.
func TestBacklogIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		w := logdriver.NewLogWatcher()
		sent := make(chan int)
		go func() {
			var b backlog
			n := 0
			for m := (&logdriver.Message{Line: make([]byte, 1<<20)}); b.makeRoom(ctx, w, m) && w.Send(ctx, m); n++ {
			}
			sent <- n
		}()
		time.Sleep(10 * backlogPoll) // in the bubble, no time passes
		if n := len(w.Msg); n == 0 || n > maxBacklogBytes>>20 {
			t.Fatalf("%d messages of 1 MiB wait", n)
		}
		for range 100 {
			<-w.Msg
		}
		synctest.Wait()
		cancel()
		if n := <-sent; n < 100 {
			t.Fatalf("%d messages were sent", n)
		}
	})
}

// TestBacklogTakesAnySize: a message above the bound goes alone, and small ones
// do not wait.
func TestBacklogTakesAnySize(t *testing.T) {
	var b backlog
	w := logdriver.NewLogWatcher()
	if !b.makeRoom(t.Context(), w, &logdriver.Message{Line: make([]byte, 2*maxBacklogBytes)}) {
		t.Fatal("a large message was refused")
	}
	for range 3 * cap(w.Msg) { // the consumer takes each at once
		if !b.makeRoom(t.Context(), w, &logdriver.Message{Line: []byte("small")}) {
			t.Fatal("a small message was refused")
		}
	}
	if len(b.sizes) > 2*cap(w.Msg) {
		t.Errorf("%d sizes are kept", len(b.sizes))
	}
}
