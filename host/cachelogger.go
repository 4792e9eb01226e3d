package host

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/logplug/logplug/shared/logdriver"
	"github.com/logplug/logplug/shared/wire"
)

const (
	// cacheCloseGrace is for how long closing waits for a cache that makes no
	// progress after the logger itself has drained.
	cacheCloseGrace = 2 * time.Second
	// cacheClosePoll is how often is looked for that progress.
	cacheClosePoll = 10 * time.Millisecond
)

// cachedLogger is a logger of a driver that cannot read, with a cache that can:
// everything that the logger accepts goes to both.
type cachedLogger struct {
	*logger
	cache *logger

	// logging is held for reading by Log, so that closing the cache waits for those
	// that the logger has accepted something from.
	logging sync.RWMutex
}

func newCachedLogger(primary, cache *logger) *cachedLogger {
	l := &cachedLogger{logger: primary, cache: cache}
	for _, part := range []*logger{primary, cache} {
		part.mu.Lock()
		part.pair = l
		part.mu.Unlock()
	}
	return l
}

// whole returns what to close instead of l alone.
func (l *logger) whole() interface{ Shutdown(context.Context) error } {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pair != nil {
		return l.pair
	}
	return l
}

// Log implements logdriver.Logger. What the logger does not accept is not in the
// cache either, but for messages that its policy drops: that the sink is slow is no
// reason not to be able to read them.
func (l *cachedLogger) Log(m *logdriver.Message) error {
	if err := m.CheckMeta(); err != nil {
		return err
	}
	normalize(m)
	// First: between taking m and offering it to the cache nothing should be waited for.
	var deadline time.Time
	if !l.cache.awaitOffer(m, &deadline) {
		return logdriver.ErrClosed
	}
	began := l.driver.host.spool.clock()
	err := l.takeBoth(m, &deadline)
	if err == nil || errors.Is(err, errDropped) {
		if failed := l.driver.host.spool.commit(began); err == nil {
			err = failed
		}
	}
	if err != nil {
		return err
	}
	logdriver.PutMessage(m)
	return nil
}

// takeBoth takes m, and offers it to the cache if that was done or its policy drops it.
// deadline is that of waiting for the cache.
func (l *cachedLogger) takeBoth(m *logdriver.Message, deadline *time.Time) error {
	l.logging.RLock()
	defer l.logging.RUnlock()
	err := l.take(m)
	if err == nil || errors.Is(err, errDropped) {
		l.cache.offer(m, deadline)
	}
	return err
}

// awaitOffer waits for as long as offer would, for room for m or, if it is long, its
// first part. It returns false if the logger is being closed.
func (l *logger) awaitOffer(m *logdriver.Message, deadline *time.Time) bool {
	if l.overflow.patience == 0 {
		return true
	}
	size := wire.EntrySize(m)
	l.mu.Lock()
	defer l.mu.Unlock()
	size -= max(0, len(m.Line)-l.maxLine)
	if !l.closing && !l.hasRoom(size) {
		l.awaitProgress(size, deadline, notAccepted)
	}
	return l.haste < notAccepted
}

// offer accepts m or counts it as dropped. m stays the caller's.
func (l *logger) offer(m *logdriver.Message, deadline *time.Time) {
	l.mu.Lock()
	limit := l.maxLine // changes when a cache is opened late
	l.mu.Unlock()
	if len(m.Line) > limit {
		_ = splitMessage(m, limit, func(part *logdriver.Message) error { // never fails
			l.acceptOrDrop(part, deadline)
			return nil
		})
		return
	}
	l.acceptOrDrop(m, deadline)
}

// acceptOrDrop is accept, but a message that the spool cannot hold is dropped and
// counted.
func (l *logger) acceptOrDrop(m *logdriver.Message, deadline *time.Time) {
	err := l.accept(m, deadline)
	if err == nil || errors.Is(err, errDropped) {
		return
	}
	l.mu.Lock()
	_ = l.dropNewest(wire.EntrySize(m)) // returns what says so
	first := l.counts.lastFailure != err.Error()
	l.counts.lastFailure = err.Error()
	l.mu.Unlock()
	if first {
		l.driver.log.Error("the cache drops messages", "logger", l.label(), "error", err)
	}
}

// Stats implements Logger.
func (l *cachedLogger) Stats() LoggerStats {
	st, cache := l.logger.Stats(), l.cache.Stats()
	st.Cache = &cache
	return st
}

// ReadLogs implements logdriver.LogReader.
func (l *cachedLogger) ReadLogs(ctx context.Context, cfg logdriver.ReadConfig) *logdriver.LogWatcher {
	return readingLogger{l.cache}.ReadLogs(ctx, cfg)
}

// Close implements logdriver.Logger.
func (l *cachedLogger) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), l.driver.host.cfg.Timeouts.Close)
	defer cancel()
	return l.Shutdown(ctx)
}

// Shutdown implements Logger. It tells of what the sink has not got; what is
// missing in the cache is in Stats and in the host's log.
func (l *cachedLogger) Shutdown(ctx context.Context) error {
	if err := l.refuseMore(); err != nil {
		return err
	}
	l.cache.hurryUp(notAccepted)
	closing, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		l.closeCache(closing)
	}()
	err := l.finish(ctx)
	l.awaitCache(closed, giveUp)
	return err
}

// closeCache waits for calls of Log that the logger has accepted something from, and closes the cache.
func (l *cachedLogger) closeCache(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() { l.cache.hurryUp(anything) })
	l.logging.Lock()
	refused := l.cache.refuseMore()
	l.logging.Unlock()
	stop()
	if refused != nil { // somebody has closed the cache alone
		return
	}
	// A driver that is still missing was told of when the logger was opened.
	if err := l.cache.finish(ctx); err != nil && !l.cache.driver.missing() {
		l.cache.driver.log.Warn("the cache lacks messages", "logger", l.label(), "error", err)
	}
}

var errCacheStalled = errors.New("the cache makes no progress")

// awaitCache waits until the cache is closed, and ends that if the cache makes no
// progress.
func (l *cachedLogger) awaitCache(closed <-chan struct{}, giveUp context.CancelCauseFunc) {
	grace := cacheCloseGrace
	if l.cache.driver.missing() {
		grace = 0
	}
	tick := time.NewTicker(cacheClosePoll)
	defer tick.Stop()
	acked, since := uint64(0), time.Now()
	for {
		select {
		case <-closed:
			return
		case <-tick.C:
		}
		if now := l.cache.acked(); now != acked {
			acked, since = now, time.Now()
		} else if time.Since(since) >= grace {
			giveUp(errCacheStalled)
			<-closed
			return
		}
	}
}

// acked returns the sequence up to which everything is settled.
func (l *logger) acked() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.queue.Acked()
}
