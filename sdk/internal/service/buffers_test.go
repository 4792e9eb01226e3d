package service

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/logplug/logplug/shared/logdriver"
)

// untilLent waits until so many requests are kept, all small ones.
func (p *peer) untilLent(n int64) {
	p.t.Helper()
	deadline := time.Now().Add(patience)
	for p.svc.buffers.retained.Load() != n*minRetainedBytes {
		if time.Now().After(deadline) {
			p.t.Fatalf("%d bytes of requests are kept, expected %d requests", p.svc.buffers.retained.Load(), n)
		}
		runtime.Gosched()
	}
}

// TestRequestsAreKept: a request with batches of several loggers stays where it is until all of
// these are stored, each with its own lines.
func TestRequestsAreKept(t *testing.T) {
	release := make(chan struct{})
	var loggers []logdriver.Logger
	for range 3 {
		loggers = append(loggers, &sink{onBatch: func(context.Context, []*logdriver.Message) error { <-release; return nil }})
	}
	p := serve(t, Config{Driver: driverOf(loggers...)})
	w := p.write()
	line := func(i, n int) string { return strings.Repeat(string(rune('a'+i)), 2000+n) }
	var ids []uint64
	for range loggers {
		ids = append(ids, p.open(logdriver.Info{}).Logger)
	}
	for n := range 5 {
		var spans []span
		for i, id := range ids {
			spans = append(spans, span{id, uint64(n + 1), []string{line(i, n)}})
		}
		w.send(spans...)
	}
	p.untilLent(5)
	close(release)
	for i, id := range ids {
		w.untilAcked(id, 5)
		for n, got := range loggers[i].(*sink).got() {
			if got != line(i, n) {
				t.Errorf("logger %d, message %d: %.10q of %d bytes", i, n, got, len(got))
			}
		}
	}
	p.untilLent(0)
}

// TestManyRequestsAreNotKept: beyond a number of them, batches are copied.
func TestManyRequestsAreNotKept(t *testing.T) {
	release := make(chan struct{})
	s := &sink{onBatch: func(context.Context, []*logdriver.Message) error { <-release; return nil }}
	p := serve(t, Config{Driver: driverOf(s)})
	id := p.open(logdriver.Info{}).Logger
	w := p.write()
	const most = maxRetainedBytes / minRetainedBytes
	const n = 2 * most
	for seq := uint64(1); seq <= n; seq++ {
		w.send(span{id, seq, []string{strings.Repeat("x", 2000)}})
	}
	p.untilLent(most)
	close(release)
	w.untilAcked(id, n)
	p.untilLent(0)
	if got := len(s.got()); got != n {
		t.Errorf("%d messages", got)
	}
}

// TestWhatWaitsIsCopied: a logger that fails, or holds messages back, keeps no request.
func TestWhatWaitsIsCopied(t *testing.T) {
	for name, failure := range map[string]error{
		"blocked": errors.New("the sink is down"), "held": &logdriver.BatchError{Err: ErrHold},
	} {
		t.Run(name, func(t *testing.T) {
			waiting, tried := make(chan struct{}), make(chan struct{}, 100)
			s := &sink{onBatch: func(_ context.Context, msgs []*logdriver.Message) error {
				select {
				case <-waiting:
					return nil
				default:
				}
				tried <- struct{}{}
				return failure
			}}
			p := serve(t, Config{Driver: driverOf(s)})
			id := p.open(logdriver.Info{}).Logger
			w := p.write()
			line := strings.Repeat("x", 5000)
			w.send(span{id, 1, []string{line}})
			<-tried
			p.untilLent(0)
			w.send(span{id, 2, []string{strings.Repeat("y", 5000)}})
			p.untilLent(0)
			close(waiting)
			w.untilAcked(id, 2)
			if got := s.got(); len(got) != 2 || got[0] != line || got[1][0] != 'y' {
				t.Errorf("%d lines, or others", len(got))
			}
		})
	}
}

// TestAcksAreAskedFor: an empty request makes what is due leave, and what is settled a short
// time later.
func TestAcksAreAskedFor(t *testing.T) {
	s := &sink{}
	p := serve(t, Config{Driver: driverOf(s)})
	id := p.open(logdriver.Info{}).Logger
	p.svc.acks.mu.Lock()
	p.svc.acks.pause = time.Hour
	p.svc.acks.mu.Unlock()
	w := p.write()
	w.send(span{id, 1, []string{"the first does not wait"}})
	w.untilAcked(id, 1)
	w.send(span{id, 2, []string{"this one does"}})
	w.send()
	w.untilAcked(id, 2)
	w.send(span{id, 3, []string{"this one comes soon after"}})
	w.untilAcked(id, 3)
}
