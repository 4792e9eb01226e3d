package service

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/logplug/logplug/shared/logdriver"
	"github.com/logplug/logplug/shared/wire"
)

// worker stores what is in a logger's queue, until the queue is empty.
type worker struct {
	*logger
	scratch
	led     *atomic.Bool                // it is run by a leader, and whether another has taken over from that; else nil
	due     bool                        // acknowledgements are to be sent
	backoff *backoff.ExponentialBackOff // nil unless the last attempt failed
	waiting bool                        // the driver holds chunks back
	urgency Urgency
	hurried bool // an attempt was made because of closing
	panics  panics
}

// work is the logger's worker goroutine.
func (l *logger) work() { _ = l.newWorker(nil).run() }

// workLed is work for a leader: where the worker would have to wait, it goes on in a goroutine of
// its own. left is set when another leader has taken over. It returns whether
// acknowledgements are to be sent.
func (l *logger) workLed(left *atomic.Bool) (due bool) { return l.newWorker(left).run() }

func (l *logger) newWorker(led *atomic.Bool) *worker {
	w := l.svc.workers.Get().(*worker)
	*w = worker{logger: l, scratch: w.scratch, led: led}
	return w
}

func (w *worker) run() (due bool) {
	for w.take() {
		err := w.attempt()
		if w.led != nil && w.led.Load() {
			w.led = nil
		}
		w.answer()
		switch {
		case err == nil:
		case w.led != nil:
			due := w.due
			w.led, w.due = nil, false
			w.svc.tasks.Go(func() {
				w.retryLater(err)
				_ = w.run()
			})
			return due
		default:
			w.retryLater(err)
		}
	}
	svc, due := w.svc, w.due
	w.logger = nil
	svc.workers.Put(w)
	svc.working.Add(-1)
	svc.acks.workerEnded()
	return due
}

// take moves the queue to the worker. It returns false, and the worker has ended,
// if there is nothing to do.
func (w *worker) take() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	arrived := len(w.queue) > 0
	w.chunks = append(w.chunks, w.queue...)
	clear(w.queue)
	w.queue = w.queue[:0]
	if w.urgency == Routine && w.overdue {
		w.urgency = Overdue
	}
	w.overdue = false
	if w.closing {
		w.urgency = Closing
	}
	switch {
	case w.ctx.Err() != nil:
		w.abandon()
	case len(w.chunks) == 0:
	case w.waiting && !arrived && w.urgency == Routine:
		w.holdLocked()
	default:
		return true
	}
	w.working = false
	w.idleLocked()
	return false
}

// idleLocked lets go of what an idle logger has no use for.
func (w *worker) idleLocked() {
	if len(w.queue) == 0 {
		w.queue = nil
	}
	close(w.idle)
}

// holdLocked puts back what the driver does not want to settle yet.
func (w *worker) holdLocked() {
	w.detach()
	w.queue = append(w.queue, w.chunks...)
	clear(w.chunks)
	w.chunks = w.chunks[:0]
	w.held = time.AfterFunc(holdTime, w.logger.holdEnded)
}

// detach copies what is going to wait out of receive buffers.
func (w *worker) detach() {
	for i := range w.chunks {
		w.svc.buffers.detach(&w.chunks[i])
	}
}

// holdEnded offers held messages again although no other has come.
func (l *logger) holdEnded() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held == nil || l.closing {
		return // startLocked was faster
	}
	l.overdue = true
	l.startLocked()
}

// attempt offers the driver what there is, once, and deals with the outcome. It returns
// why the next attempt is to wait.
func (w *worker) attempt() error {
	began := time.Now()
	n, err := w.decode(w.panics.most())
	if err != nil {
		w.settle(1, false, map[int]error{0: err}, false)
		return nil
	}
	if w.acquire(w.ctx) != nil {
		return nil
	}
	all := w.covers(n)
	urgency := w.urgency
	if !all && urgency == Closing {
		urgency = Routine // others follow, in the next call
	}
	out := w.deliver(n, urgency)
	w.yield()
	w.pace.note(time.Since(began), w.size)
	closer := w.panics.learn(n, &out)
	out.check(n)
	if out.done > 0 || closer {
		w.backoff = nil
	}
	holds := errors.Is(out.err, ErrHold)
	w.settle(out.done, out.done == n, out.rejected, out.err != nil && !holds)
	switch {
	case holds && urgency != Routine:
		// It was told that nothing follows: insist, slowly.
		out.err = errors.New("the driver holds messages back although no others follow")
	case holds:
		w.waiting, out.err = all, nil
		w.urge(!all && out.done == 0)
		return nil
	}
	w.waiting, w.urgency = false, Routine
	return out.err
}

// urge makes the next call one that must settle: the driver holds back as much
// as it can be offered at once.
func (w *worker) urge(full bool) {
	w.urgency = Routine
	if full {
		w.urgency = Overdue
	}
}

// settle records that n messages are stored, but for the rejected ones. The
// last two arguments tell whether n is all that was decoded, and whether the
// logger is in trouble.
func (w *worker) settle(n int, all bool, rejected map[int]error, failed bool) {
	failures := w.failuresOf(rejected, n)
	last, bytes := w.scratch.settle(n, all)
	w.mu.Lock()
	defer w.mu.Unlock()
	if n > 0 {
		w.settled = last
		w.bytes -= bytes
		w.failures = append(w.failures, failures...)
		w.mark(bytes, len(failures) > 0)
	}
	if !failed && w.blocked != "" {
		w.blocked = ""
		w.mark(0, true)
	}
}

// mark is markLocked, but that the acknowledgement is left to answer, or to the leader.
func (w *worker) mark(bytes int, urgent bool) { w.due = w.noteLocked(bytes, urgent) || w.due }

// answer sends acknowledgements if they are due and no leader does: another goroutine may find no
// processor for that before all that is in the queue is stored.
func (w *worker) answer() {
	if w.due && w.led == nil {
		w.due = false
		w.svc.answer()
	}
}

// failuresOf turns the rejected among the next n messages to settle into what the
// host is told, in order.
func (w *worker) failuresOf(rejected map[int]error, n int) []wire.Failure {
	if len(rejected) == 0 {
		return nil
	}
	failures := make([]wire.Failure, 0, len(rejected))
	for i, err := range rejected {
		if i < 0 || i >= n {
			continue
		}
		failures = append(failures, wire.Failure{Seq: w.seq(i), Reason: w.text(err)})
	}
	slices.SortFunc(failures, func(a, b wire.Failure) int {
		if a.Seq < b.Seq {
			return -1
		}
		return 1
	})
	if len(failures) > 0 {
		w.warn("messages were rejected for good", failures[0].Reason, "messages", len(failures), "first_seq", failures[0].Seq)
	}
	return failures
}

func (w *worker) text(err error) string {
	if err == nil {
		return "rejected without a reason"
	}
	return w.svc.secrets.Text(err.Error())
}

// retryLater shows why the logger is blocked and waits before the next attempt.
// What arrives meanwhile joins it.
func (w *worker) retryLater(err error) {
	if w.ctx.Err() != nil {
		return
	}
	w.block(w.text(err))
	if w.backoff == nil {
		w.backoff = w.svc.backoff.start()
	}
	w.shrink()
	w.detach()
	hurry := w.logger.hurry
	if w.hurried {
		hurry = nil
	}
	timer := time.NewTimer(w.backoff.NextBackOff())
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-w.ctx.Done():
	case <-hurry:
		// Closing has begun and time is short: try at once, and from then
		// on with short intervals again.
		w.hurried = true
		w.backoff.Reset()
	}
}

func (w *worker) block(text string) {
	w.mu.Lock()
	if w.blocked != text {
		w.blocked = text
		w.markLocked(0, true)
	}
	w.mu.Unlock()
	w.warn("cannot store messages, trying again", text)
}

func (w *worker) warn(what, text string, args ...any) {
	if suppressed, ok := w.logs.allow(time.Now(), text); ok {
		args = append(args, "error", text, "suppressed", suppressed)
		w.log().Warn(what, args...)
	}
}

// outcome is what a driver made of n messages.
type outcome struct {
	done     int // settled, from the front
	rejected map[int]error
	err      error // why not all of them
}

// check mends what a driver may get wrong in a BatchError.
func (o *outcome) check(n int) {
	o.done = min(max(o.done, 0), n)
	switch {
	case o.done == n:
		o.err = nil
	case logdriver.IsPermanent(o.err):
		if o.rejected == nil {
			o.rejected = make(map[int]error, n-o.done)
		}
		for i := o.done; i < n; i++ {
			o.rejected[i] = o.err
		}
		o.done, o.err = n, nil
	case o.err == nil:
		o.err = fmt.Errorf("the driver stored %d of %d messages and gave no reason", o.done, n)
	}
}

// deliver hands n decoded messages to the driver.
func (w *worker) deliver(n int, urgency Urgency) outcome {
	if w.batch == nil {
		return w.logEach(w.msgs[:n])
	}
	ctx := withUrgency(w.ctx, urgency)
	err := w.logBatch(ctx, w.offer(n))
	var partial *logdriver.BatchError
	switch {
	case err == nil:
		return outcome{done: n}
	case errors.As(err, &partial):
		rejected := partial.Rejected
		if logdriver.IsPermanent(partial.Err) {
			rejected = cloneRejected(rejected)
		}
		return outcome{partial.Done, rejected, partial.Err}
	}
	return outcome{err: err}
}

func cloneRejected(in map[int]error) map[int]error {
	out := make(map[int]error, len(in))
	for i, err := range in {
		out[i] = err
	}
	return out
}

func (w *worker) logBatch(ctx context.Context, msgs []*logdriver.Message) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = w.panicked("LogBatch", r)
		}
	}()
	return w.batch.LogBatch(ctx, msgs)
}

// panicked is Service.panicked, once for all attempts that one message spoils.
func (w *worker) panicked(what string, r any) error {
	if w.panics.news(panicSite()) {
		return w.svc.panicked(what, r)
	}
	return panicError(what, r)
}

// logEach gives the driver messages of its own, one by one.
func (w *worker) logEach(msgs []*logdriver.Message) (out outcome) {
	defer func() {
		if r := recover(); r != nil {
			out.err = w.panicked("Log", r)
		}
	}()
	for i, src := range msgs {
		if w.ctx.Err() != nil {
			out.err = w.ctx.Err()
			return out
		}
		m := logdriver.NewMessage()
		m.CopyFrom(src)
		if err := w.impl.Log(m); err != nil {
			logdriver.PutMessage(m)
			if !logdriver.IsPermanent(err) {
				out.err = err
				return out
			}
			if out.rejected == nil {
				out.rejected = make(map[int]error)
			}
			out.rejected[i] = err
		}
		out.done++
	}
	return out
}
