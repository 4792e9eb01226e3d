package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/logplug/logplug/shared/logdriver"
	"github.com/logplug/logplug/shared/wire"
)

// logger is an open logger of the driver.
type logger struct {
	svc     *Service
	id      uint64
	info    logdriver.Info
	impl    logdriver.Logger
	batch   logdriver.BatchLogger // nil if impl has Log alone
	reader  logdriver.LogReader   // nil if it cannot read
	lastSeq uint64
	bufSize int
	release func() // of its secrets

	ctx    context.Context // ends when its time to store is up
	cancel context.CancelFunc
	turn   chan struct{} // holds one token while LogBatch, Log, Flush or Close runs
	closed bool          // Close has run; guarded by turn
	hurry  chan struct{} // closed when the logger is being closed

	mu       sync.Mutex
	queue    []chunk        // received, not taken by the worker
	bytes    int            // of entries received and not settled
	received uint64         // the last sequence that was accepted
	settled  uint64         // the last sequence that is stored or failed
	failures []wire.Failure // not sent yet
	blocked  string         // why there is no progress
	dirty    bool           // an acknowledgement is due
	closing  bool
	working  bool          // the worker runs, or is about to
	idle     chan struct{} // closed when it has ended
	held     *time.Timer   // runs while the driver waits for more messages
	overdue  bool          // it has waited long enough

	logs  limiter // the worker's
	pace  pace    // the worker's
	light bool    // the receiver's: little is queued
}

func (s *Service) newLogger(info logdriver.Info, impl logdriver.Logger, release func()) (*logger, error) {
	l := &logger{
		svc: s, info: info, impl: impl, release: release,
		turn: make(chan struct{}, 1), hurry: make(chan struct{}),
	}
	l.batch, _ = impl.(logdriver.BatchLogger)
	if err := l.findReader(s.driver.Description); err != nil {
		return nil, err
	}
	if err := s.guard("BufSize and LastSeq", l.ask); err != nil {
		return nil, err
	}
	l.received, l.settled = l.lastSeq, l.lastSeq
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l, nil
}

// findReader compares what the driver declares with what its logger can do.
func (l *logger) findReader(d logdriver.Description) error {
	reader, can := l.impl.(logdriver.LogReader)
	switch {
	case d.Capability.ReadLogs && !can:
		return fmt.Errorf("driver %s declares Capability.ReadLogs, but its logger (%T) has no ReadLogs method; this is a mistake of the driver", d.Name, l.impl)
	case !d.Capability.ReadLogs && can:
		return fmt.Errorf("driver %s does not declare Capability.ReadLogs, but its logger (%T) has a ReadLogs method; this is a mistake of the driver", d.Name, l.impl)
	}
	l.reader = reader
	return nil
}

func (l *logger) ask() error {
	if sized, ok := l.impl.(logdriver.SizedLogger); ok {
		l.bufSize = min(max(sized.BufSize(), 0), logdriver.MaxLineBytes)
	}
	if seq, ok := l.impl.(logdriver.Sequencer); ok {
		l.lastSeq = seq.LastSeq()
	}
	return nil
}

// log returns where to log about this logger.
func (l *logger) log() *slog.Logger {
	return l.svc.log.With("logger", l.id, "id", l.info.ID())
}

// markLocked makes an acknowledgement due, for which so many bytes more are settled,
// urgently or not. l.mu is held.
func (l *logger) markLocked(bytes int, urgent bool) {
	if l.noteLocked(bytes, urgent) {
		l.svc.acks.poke()
	}
}

// noteLocked is markLocked for those who see to it that the acknowledgement leaves if it returns
// true.
func (l *logger) noteLocked(bytes int, urgent bool) (due bool) {
	added := !l.dirty
	l.dirty = true
	return l.svc.acks.add(l, added, bytes, urgent)
}

// beginLocked makes the caller run the worker, unless there is one and false is
// returned. l.mu is held.
func (l *logger) beginLocked() bool {
	if l.held != nil {
		l.held.Stop()
		l.held = nil
	}
	if l.working {
		return false
	}
	l.working, l.idle = true, make(chan struct{})
	l.svc.working.Add(1)
	return true
}

// startLocked starts the worker unless there is one. l.mu is held.
func (l *logger) startLocked() {
	if l.beginLocked() {
		l.svc.tasks.Go(l.work)
	}
}

// acquire waits for the right to call the driver's logger.
func (l *logger) acquire(ctx context.Context) error {
	select {
	case l.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *logger) yield() { <-l.turn }

func (l *logger) flush(ctx context.Context) error {
	f, ok := l.impl.(logdriver.Flusher)
	if !ok {
		return nil
	}
	if err := l.acquire(ctx); err != nil {
		return fmt.Errorf("flush: a write is still under way: %w", err)
	}
	defer l.yield()
	if l.closed {
		return fmt.Errorf("flush logger %d: %w", l.id, logdriver.ErrClosed)
	}
	return l.svc.guard("Flush", func() error { return f.Flush(ctx) })
}

// closeGrace is the longest time that closing keeps back from its deadline for
// the driver's Close and for saying what went wrong, and that it waits for code
// that does not heed its context.
const closeGrace = 500 * time.Millisecond

// close stores what was received and closes the driver's logger. It returns when
// that is done, or soon after ctx ended.
func (l *logger) close(ctx context.Context) error {
	storing, stop := beforeDeadline(ctx)
	defer stop()
	idle := l.beginClose()
	unstored := waitFor(storing, idle)
	if unstored != nil {
		l.cancel()
	}
	// The worker first, then Close, in this order even if ctx ends before.
	closed := make(chan error, 1)
	l.svc.tasks.Go(func() {
		<-idle
		closed <- l.closeImpl()
	})
	return errors.Join(l.undelivered(unstored), awaitClose(ctx, closed))
}

// awaitClose waits for the result of the driver's Close until ctx ends, and for
// a short time beyond: a deadline that has passed is no reason to leave a
// result behind that is nearly there.
func awaitClose(ctx context.Context, closed <-chan error) error {
	select {
	case err := <-closed:
		return err
	case <-ctx.Done():
	}
	grace := time.NewTimer(closeGrace)
	defer grace.Stop()
	select {
	case err := <-closed:
		return err
	case <-grace.C:
		return fmt.Errorf("close the driver's logger: it did not return in time: %w", ctx.Err())
	}
}

// beginClose ends the taking of messages and returns a channel that is closed
// once the worker has ended.
func (l *logger) beginClose() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closing = true
	close(l.hurry)
	if len(l.queue) > 0 {
		l.startLocked()
	}
	if !l.working {
		idle := make(chan struct{})
		close(idle)
		return idle
	}
	return l.idle
}

// closeImpl closes the driver's logger, after a Flush that is under way.
func (l *logger) closeImpl() error {
	l.turn <- struct{}{}
	defer l.yield()
	l.closed = true
	err := l.svc.secrets.Error(l.svc.guard("Close", l.impl.Close))
	l.cancel()
	l.release()
	return err
}

// undelivered says what was received and not stored; nil if nothing is left.
func (l *logger) undelivered(cause error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.bytes == 0 {
		return nil
	}
	if cause == nil {
		cause = context.Canceled
	}
	reason := ""
	if l.blocked != "" {
		reason = "; the last attempt failed: " + l.blocked
	}
	return fmt.Errorf("close logger %d: %d messages (%d bytes) were received and could not be stored in time: %w%s",
		l.id, l.received-l.settled, l.bytes, cause, reason)
}

// beforeDeadline returns a context that ends a little before ctx does.
func beforeDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	reserve := min(time.Until(deadline)/5, closeGrace)
	return context.WithDeadline(ctx, deadline.Add(-reserve))
}

func waitFor(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	default:
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
