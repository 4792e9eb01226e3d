package service

import (
	"context"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/logplug/logplug/shared/logdriver"
)

// onLeader tells whether it is called by the goroutine that receives.
func onLeader() bool {
	buf := make([]byte, 64<<10)
	return strings.Contains(string(buf[:runtime.Stack(buf, false)]), "(*receiver).lead")
}

// sendEach sends lines one by one, each when the one before is acknowledged, from the
// sequence first on, until ok returns true. It returns the sequence to go on with.
func (w *writer) sendEach(logger, first uint64, ok func() bool) uint64 {
	w.t.Helper()
	for end := time.Now().Add(patience); !ok(); first++ {
		if time.Now().After(end) {
			w.t.Fatalf("%d messages made no difference", first)
		}
		w.send(span{logger, first, []string{"a line"}})
		w.untilAcked(logger, first)
	}
	return first
}

// stoppable is a sink whose batches are over at once, but for those that begin with "stop".
type stoppable struct {
	*sink
	led     atomic.Bool // the last one was on the leader
	stopped chan bool   // gets whether one that stops is
	release chan struct{}
}

func newStoppable() *stoppable {
	s := &stoppable{stopped: make(chan bool), release: make(chan struct{})}
	s.sink = &sink{onBatch: func(_ context.Context, msgs []*logdriver.Message) error {
		led := onLeader()
		s.led.Store(led)
		if string(msgs[0].Line) == "stop" {
			s.stopped <- led
			<-s.release
		}
		return nil
	}}
	return s
}

// stopLeader makes the leader stop in the code of s, together with a message for another
// logger in the same request, if that is not 0. It returns the sequences to go on with.
func (w *writer) stopLeader(s *stoppable, logger, other uint64) (next, nextOther uint64) {
	next, nextOther = 1, 1
	for {
		next = w.sendEach(logger, next, s.led.Load)
		spans := []span{{logger, next, []string{"stop"}}}
		if other != 0 {
			spans = append(spans, span{other, nextOther, []string{"a line"}})
			nextOther++
		}
		w.send(spans...)
		next++
		if <-s.stopped {
			return next, nextOther
		}
		s.release <- struct{}{} // it took too long before, and was not led
		s.led.Store(false)
	}
}

// TestStuckLeader: code that was quick for long, and then does not return, holds up
// nobody else, not even those whose messages came in the same request.
func TestStuckLeader(t *testing.T) {
	a, b := newStoppable(), newStoppable()
	p := serve(t, Config{Driver: driverOf(a, b)})
	first, second := p.open(logdriver.Info{}).Logger, p.open(logdriver.Info{}).Logger
	w := p.write()
	nextA, nextB := w.stopLeader(a, first, second)
	w.untilAcked(second, nextB-1)
	b.led.Store(false)
	w.sendEach(second, nextB, b.led.Load) // there is a leader again, and it runs workers
	close(a.release)
	w.untilAcked(first, nextA-1)
	w.send(span{first, nextA, []string{"a line"}})
	w.untilAcked(first, nextA)
}

// TestStreamEndsWithoutLeader: the stream ends although its leader is stuck in the
// driver's code.
func TestStreamEndsWithoutLeader(t *testing.T) {
	s := newStoppable()
	p := serve(t, Config{Driver: driverOf(s)})
	id := p.open(logdriver.Info{}).Logger
	w := p.write()
	next, _ := w.stopLeader(s, id, 0)
	w.cancel()
	if err := w.wait(); err == nil {
		t.Error("a stream that was cancelled has ended well")
	}
	second := p.write() // which takes the place of the first
	close(s.release)
	second.untilAcked(id, next-1)
}

// TestCautiousLeader: leaders that are kept for long, again and again, run no workers for a
// while.
func TestCautiousLeader(t *testing.T) {
	r := newReceiver(nil)
	for range maxDebt / heavyTime {
		if r.wary() {
			t.Fatalf("after %v", r.debt)
		}
		r.beware(heavyTime + time.Microsecond)
	}
	r.beware(time.Minute)
	if !r.wary() {
		t.Errorf("not after %v", r.debt)
	}
	r.owed = r.owed.Add(-2 * caution * time.Minute)
	if r.wary() {
		t.Errorf("%v is not forgotten", r.debt)
	}
	r.beware(maxDebt)
	if r.debt > maxDebt {
		t.Errorf("what was forgotten counts: %v", r.debt)
	}
}

// TestKeptLeader: what keeps a leader counts.
func TestKeptLeader(t *testing.T) {
	s := newStoppable()
	p := serve(t, Config{Driver: driverOf(s)})
	id := p.open(logdriver.Info{}).Logger
	w := p.write()
	next, _ := w.stopLeader(s, id, 0)
	began := time.Now()
	for time.Since(began) <= heavyTime {
		runtime.Gosched()
	}
	close(s.release)
	w.untilAcked(id, next-1)
	p.svc.mu.Lock()
	r := p.svc.stream.receiver
	p.svc.mu.Unlock()
	debt := func() time.Duration {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.debt
	}
	for ; debt() < heavyTime; runtime.Gosched() {
		if time.Since(began) > patience {
			t.Fatalf("%v, the worker ran at %v", debt(), began)
		}
	}
}

// TestPace: one that is late now and then is quick, one that often is, is not.
func TestPace(t *testing.T) {
	var p pace
	note := func(n int, took time.Duration) {
		for range n {
			p.note(took, 0)
		}
	}
	if note(briskPace, quickTime); !p.brisk() {
		t.Error("not quick after some batches")
	}
	if note(1, 2*quickTime); p.brisk() {
		t.Error("quick although it was not, a short time after it began to be")
	}
	note(maxPace, quickTime)
	if note(1, time.Second); !p.brisk() {
		t.Error("not quick because of a single batch")
	}
	if note(1, time.Second); p.brisk() {
		t.Error("quick after two batches in a row that were not")
	}
	note(100, time.Second)
	if note(briskPace-minPace, 0); !p.brisk() {
		t.Error("never quick again")
	}
	if p.note(2*quickTime, int(quickTime/byteTime)); !p.brisk() {
		t.Error("a batch that is large may not take longer")
	}
}

// TestSlowCodeNeverLeads: code that takes its time runs in a goroutine of its own, and so
// do large requests.
func TestSlowCodeNeverLeads(t *testing.T) {
	var led atomic.Bool
	slow := &sink{onBatch: func(context.Context, []*logdriver.Message) error {
		for began := time.Now(); time.Since(began) <= quickTime; {
			runtime.Gosched()
		}
		if onLeader() {
			led.Store(true)
		}
		return nil
	}}
	large := newStoppable()
	p := serve(t, Config{Driver: driverOf(slow, large)})
	s, l := p.open(logdriver.Info{}).Logger, p.open(logdriver.Info{}).Logger
	w := p.write()
	for seq := uint64(1); seq <= 5*briskPace; seq++ {
		w.send(span{s, seq, []string{"a line"}})
		w.untilAcked(s, seq)
	}
	if led.Load() {
		t.Error("the goroutine that receives ran slow code")
	}
	next := w.sendEach(l, 1, large.led.Load)
	w.send(span{l, next, []string{strings.Repeat("x", lightBytes)}})
	w.untilAcked(l, next)
	if large.led.Load() {
		t.Error("the goroutine that receives stored a large request")
	}
}

// TestAcksWait: after a response, acknowledgements wait, unless one is urgent, or the
// host is about to wait for them.
func TestAcksWait(t *testing.T) {
	l := &logger{}
	add := func(q *ackQueue, unlisted bool, bytes int, urgent bool) {
		if q.add(l, unlisted, bytes, urgent) {
			q.poke()
		}
	}
	for name, c := range map[string]struct {
		add func(*ackQueue)
		due bool
	}{
		"a little": {func(q *ackQueue) { add(q, true, 100, false) }, false},
		"urgent":   {func(q *ackQueue) { add(q, true, 0, true) }, true},
		"asked for": {func(q *ackQueue) {
			q.hasten()
			<-q.wake
			q.take(nil)
			add(q, true, 1, false)
		}, true},
		"asked for long ago": {func(q *ackQueue) {
			q.hasten()
			<-q.wake
			q.hasty = q.hasty.Add(-hastyTime)
			add(q, true, 1, false)
		}, false},
		"many bytes":    {func(q *ackQueue) { add(q, true, 1, false); add(q, false, q.hurried, false) }, true},
		"many requests": {func(q *ackQueue) { q.requests.Add(hurriedRequests); add(q, true, 1, false) }, true},
		"the time":      {func(q *ackQueue) { q.left = q.left.Add(-q.pause); add(q, true, 1, false) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			q := newAckQueue(DefaultWindowBytes)
			defer q.timer.Stop()
			q.pause = time.Hour
			add(q, true, 1, false)
			<-q.wake // the first does not wait
			if got := q.take(nil); len(got) != 1 {
				t.Fatalf("%d loggers", len(got))
			}
			c.add(q)
			if due := len(q.wake) > 0; due != c.due {
				t.Errorf("due: %t, expected %t", due, c.due)
			}
			if got := q.take(nil); len(got) != 1 {
				t.Errorf("%d loggers", len(got))
			}
		})
	}
}

// TestAcksDoNotStayWaiting: what made the queue wait is in a response that was under way,
// and what comes later is told nevertheless.
func TestAcksDoNotStayWaiting(t *testing.T) {
	svc := New(Config{})
	l := &logger{svc: svc}
	mark := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.markLocked(1, false)
	}
	q := svc.acks
	mark()
	<-q.wake
	if n := len(q.take(nil)); n != 1 {
		t.Fatalf("%d loggers", n)
	}
	mark() // before the response is made
	l.ack()
	if n := len(q.take(nil)); n != 0 {
		t.Fatalf("%d loggers", n)
	}
	mark()
	select {
	case <-q.wake:
	case <-time.After(patience):
		t.Fatal("nobody is told of an acknowledgement")
	}
}

// TestDoneBesideAStuckLeader: what a leader has stored before code that does not return is
// acknowledged.
func TestDoneBesideAStuckLeader(t *testing.T) {
	quick, stuck := newStoppable(), newStoppable()
	p := serve(t, Config{Driver: driverOf(quick, stuck)})
	first, second := p.open(logdriver.Info{}).Logger, p.open(logdriver.Info{}).Logger
	p.svc.acks.mu.Lock()
	p.svc.acks.pause = 0 // what is stored is to be acknowledged at once
	p.svc.acks.mu.Unlock()
	w := p.write()
	for next, nextStuck := uint64(1), uint64(1); ; {
		next = w.sendEach(first, next, quick.led.Load)
		nextStuck = w.sendEach(second, nextStuck, stuck.led.Load)
		w.send(span{first, next, []string{"a line"}}, span{second, nextStuck, []string{"stop"}})
		if <-stuck.stopped && quick.led.Load() {
			w.untilAcked(first, next)
			close(stuck.release)
			w.untilAcked(second, nextStuck)
			return
		}
		stuck.release <- struct{}{} // one of them took too long before, and was not led
		w.untilAcked(second, nextStuck)
		next, nextStuck = next+1, nextStuck+1
		quick.led.Store(false)
		stuck.led.Store(false)
	}
}

// TestBusyBehindAStuckLeader: a worker that another leader has left behind acknowledges what it stores
// although its queue is never empty.
func TestBusyBehindAStuckLeader(t *testing.T) {
	s := newStoppable()
	p := serve(t, Config{Driver: driverOf(s)})
	id := p.open(logdriver.Info{}).Logger
	w := p.write()
	next, _ := w.stopLeader(s, id, 0)
	for range 5 {
		w.send(span{id, next, []string{"stop"}}) // queued while the worker is in the batch before
		p.untilReceived(id, next)
		s.release <- struct{}{}
		if led := <-s.stopped; !led {
			t.Fatal("another goroutine stores what is queued behind")
		}
		w.untilAcked(id, next-1)
		next++
	}
	close(s.release)
	w.untilAcked(id, next-1)
}

// untilReceived waits until the logger has received a message.
func (p *peer) untilReceived(id, seq uint64) {
	p.t.Helper()
	p.svc.mu.Lock()
	l := p.svc.loggers[id]
	p.svc.mu.Unlock()
	for ctx := p.ctx(); ; runtime.Gosched() {
		l.mu.Lock()
		received := l.received
		l.mu.Unlock()
		if received >= seq {
			return
		}
		if ctx.Err() != nil {
			p.t.Fatalf("message %d does not arrive", seq)
		}
	}
}
