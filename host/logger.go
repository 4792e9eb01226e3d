package host

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/logplug/logplug/host/internal/spool"
	"github.com/logplug/logplug/shared/logdriver"
	"github.com/logplug/logplug/shared/wire"
)

// Logger is what Host.Open returns. It is a logdriver.LogReader too exactly when
// the driver's Capability says ReadLogs, or the logger has a cache, see CacheConfig.
//
// Log may be called from any number of goroutines; it returns nil once the
// message is in the spool. It waits for room for at most Timeouts.Log, and as long for
// that of a cache before, and then returns logdriver.ErrSpoolFull. With SyncAlways it waits for the disk too, within
// the same time; ErrNotDurable then tells that the message is in the spool and may
// not survive a loss of power. A line above the driver's BufSize is split.
// Close is Shutdown with a deadline of Timeouts.Close.
type Logger interface {
	logdriver.SizedLogger

	// Flush waits until the driver acknowledged everything that was accepted
	// before, then makes the driver's sink durable. If the driver's process is being
	// replaced it waits for the new one.
	Flush(ctx context.Context) error

	// Shutdown takes no more messages, waits until the driver acknowledged all
	// that were accepted, and closes the driver's logger. If ctx ends before, or that
	// of Host.Close, it closes nevertheless and returns a *logdriver.UndeliveredError.
	Shutdown(ctx context.Context) error

	// Stats returns the logger's counters.
	Stats() LoggerStats
}

// ErrNotDurable is returned by Log for a message that was accepted, and will be
// delivered, but is not on the disk yet, see SyncAlways. The message, which stays the
// caller's, must not be logged again.
var ErrNotDurable = errors.New("a message was accepted, but may not survive a loss of power")

// readingLogger is a logger of a driver that can read.
type readingLogger struct{ *logger }

// logger is one logger through all processes that its driver has meanwhile.
type logger struct {
	driver      *driver
	info        logdriver.Info // as the driver gets it
	stream      spool.Stream
	overflow    overflow
	maxMessages uint64 // in the spool
	presses     int    // bytes that are much to wait, see press
	room        *room  // that it shares with others
	claim       claim  // what it has taken of that ahead
	cacheOf     string // of a cache, the driver whose logger it is a copy of
	goesOn      bool   // its stream may have begun in an earlier host, and the driver has not yet said what it holds

	// Set by configure, before anybody uses the logger.
	configured bool
	capability logdriver.Capability
	bufSize    int // as the driver says, 0 if it does not
	maxLine    int // longer lines are split

	mu      sync.Mutex
	queue   *spool.Queue
	gap     gap           // dropped and not yet told of in the stream
	closing bool          // Log is refused
	gone    bool          // not to be attached any more
	ended   place         // where it was open when it was gone
	shut    chan struct{} // closed when Shutdown has finished
	gaveUp  bool          // messages that were not settled
	changed chan struct{} // closed at the next change, if somebody waits for one
	counts  counts
	blocked blocked
	left    Count         // in the spool's directory after closing
	stall   stall         // of a cache
	haste   haste         // of a cache
	pair    *cachedLogger // that this logger is a part of

	everSent uint64 // the highest sequence that some process may have got

	// The attachment to the driver's current process.
	session  *session
	opening  *session // that somebody opens it in
	id       uint64
	window   int
	inflight int  // bytes that are sent and not settled
	queued   bool // waits for the session's sender
	heavy    bool // its last message is large
	pressed  int  // what was unsent when press was called, since the last sending
	paused   bool // nothing more is sent to this process
	suspect  suspicion
	asked    asked

	used atomic.Uint64 // when it was in use, for linger.use

	held bool // not to be opened before driver.release; under driver.mu
}

func newLogger(d *driver, r *request, stream spool.Stream, q *spool.Queue) *logger {
	l := &logger{
		driver: d, info: r.info, overflow: r.overflow, stream: stream, queue: q, maxLine: logdriver.MaxLineBytes, everSent: q.Last(),
		maxMessages: uint64(d.host.cfg.Spool.LoggerMessages), presses: min(pressBytes, r.overflow.bytes/2),
		shut: make(chan struct{}), room: &d.host.room, cacheOf: r.cacheOf, goesOn: r.goesOn,
	}
	if r.cacheOf != "" {
		l.room = &d.host.cacheRoom
	}
	return l
}

// configure takes over what the driver said when it first opened the logger.
func (l *logger) configure(o opened) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.configured {
		return
	}
	l.configured = true
	l.capability = o.capability
	l.bufSize = min(o.bufSize, logdriver.MaxLineBytes)
	l.maxLine = logdriver.MaxLineBytes
	if l.bufSize > 0 {
		l.maxLine = l.bufSize
	}
}

// label names the logger in errors and log lines.
func (l *logger) label() string { return labelOf(&l.info) }

func labelOf(info *logdriver.Info) string {
	switch {
	case info.Name() != "":
		return info.Name()
	case info.ContainerID != "":
		return info.ID()
	default:
		return info.LogPath
	}
}

// Name implements logdriver.Logger.
func (l *logger) Name() string { return l.driver.name }

// BufSize implements logdriver.SizedLogger.
func (l *logger) BufSize() int { return l.bufSize }

// Log implements logdriver.Logger.
func (l *logger) Log(m *logdriver.Message) error {
	if !isPlain(m) {
		if err := m.CheckMeta(); err != nil {
			return err
		}
		normalize(m)
	}
	began := l.driver.host.spool.clock()
	if err := l.take(m); err != nil {
		return err
	}
	if err := l.driver.host.spool.commit(began); err != nil {
		return err
	}
	logdriver.PutMessage(m)
	return nil
}

// take accepts m, in parts if it is long. m stays the caller's.
func (l *logger) take(m *logdriver.Message) error {
	var deadline time.Time
	if len(m.Line) > l.maxLine {
		return splitMessage(m, l.maxLine, func(part *logdriver.Message) error { return l.accept(part, &deadline) })
	}
	return l.accept(m, &deadline)
}

// isPlain tells whether m is what most messages are: one for which normalize and CheckMeta have nothing
// to do.
func isPlain(m *logdriver.Message) bool {
	return (m.Source == "stdout" || m.Source == "stderr") && len(m.Attrs) == 0 && m.Partial.ID == "" && !m.Timestamp.IsZero()
}

// normalize gives m a time and makes its strings ones that protobuf can carry.
func normalize(m *logdriver.Message) {
	if m.Timestamp.IsZero() {
		m.Timestamp = time.Now()
	}
	if m.Source != "" {
		m.Source = validText(m.Source)
	}
	if m.Partial.ID != "" {
		m.Partial.ID = validText(m.Partial.ID)
	}
	for i := range m.Attrs {
		a := &m.Attrs[i]
		a.Key, a.Value = validText(a.Key), validText(a.Value)
	}
}

func validText(s string) string {
	if s == "stdout" || s == "stderr" || utf8.ValidString(s) { // two that nearly all have
		return s
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// splitMessage calls accept with parts of m's line of up to limit bytes, until that
// fails. A message that is itself a part is cut into parts of the same ordinal.
func splitMessage(m *logdriver.Message, limit int, accept func(*logdriver.Message) error) error {
	part := *m
	if !m.Partial.IsPartial() {
		part.Partial = logdriver.Partial{ID: rand.Text(), Last: true}
	}
	last := part.Partial.Last
	for line := m.Line; len(line) > 0; {
		n := min(len(line), limit)
		part.Line, line = line[:n], line[n:]
		if !m.Partial.IsPartial() {
			part.Partial.Ordinal++
		}
		part.Partial.Last = last && len(line) == 0
		part.Unterminated = m.Unterminated && len(line) == 0
		if err := accept(&part); err != nil {
			return fmt.Errorf("part %d of a line of %d bytes: %w", part.Partial.Ordinal, len(m.Line), err)
		}
	}
	return nil
}

// Flush implements Logger.
func (l *logger) Flush(ctx context.Context) error {
	if err := l.waitSettled(ctx); err != nil {
		return err
	}
	for at := (place{}); ; {
		next, err := l.waitSession(ctx, at)
		if err != nil {
			return fmt.Errorf("flushing logger %s: %w", l.label(), err)
		}
		at = next
		if err = at.session.flush(ctx, at.id); err == nil || !l.hasLeft(at) {
			return err
		}
	}
}

// Close implements logdriver.Logger.
func (l *logger) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), l.driver.host.cfg.Timeouts.Close)
	defer cancel()
	return l.Shutdown(ctx)
}

// Shutdown implements Logger.
func (l *logger) Shutdown(ctx context.Context) error {
	if err := l.refuseMore(); err != nil {
		return err
	}
	return l.finish(ctx)
}

// refuseMore is the beginning of Shutdown: Log is refused from now on.
func (l *logger) refuseMore() error {
	l.mu.Lock()
	if l.closing {
		l.mu.Unlock()
		return logdriver.ErrClosed
	}
	var untold error
	if l.gap.messages > 0 {
		untold = l.tellGap()
	}
	gap := l.gap
	l.closing = true
	l.notify()
	next := l.schedule()
	l.mu.Unlock()
	if untold != nil {
		l.driver.log.Warn("no room to tell in the stream what was dropped", "logger", l.label(), "messages", gap.messages, "error", untold)
	}
	if next != nil {
		next.enqueue(l)
	}
	return nil
}

// finish is the rest of Shutdown.
func (l *logger) finish(ctx context.Context) error {
	l.driver.beginEnd(l)
	defer l.endShutdown()
	ctx, cancel := l.withinHost(ctx)
	defer cancel()
	drained := l.waitSettled(ctx)

	l.mu.Lock()
	l.gone = true
	l.ended = l.placeLocked()
	l.session = nil
	l.notify()
	undelivered := l.abandon(drained)
	l.mu.Unlock()

	l.driver.forget(l)
	var closed error
	if s := l.ended.session; s != nil {
		closed = l.closed(s.closeLogger(ctx, l, l.ended.id))
	}
	return errors.Join(undelivered, closed)
}

// closed is what Shutdown makes of err, which closing in the driver ended with. A
// process that is gone, does not answer, or was asked to end and has closed its loggers
// holds nothing that matters: what it acknowledged is with the sink, and it is replaced.
func (l *logger) closed(err error) error {
	if errors.Is(err, wire.ErrUnknownLogger) || errors.Is(err, wire.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		l.driver.log.Warn("the driver did not say that the logger is closed", "logger", l.label(), "error", err)
		return nil
	}
	return err
}

// abandon gives up what is still in the spool: it stays in the spool's directory
// for the next host, or is dropped. It is called with l.mu.
func (l *logger) abandon(cause error) error {
	messages, size := l.queue.Count(), l.queue.Bytes()
	if messages == 0 {
		l.queue.Release()
		l.driver.host.spool.forget(l.stream)
		return nil
	}
	l.gaveUp = true
	err := &logdriver.UndeliveredError{
		Logger: l.label(), Messages: messages, Bytes: uint64(size), Err: cause, Spooled: l.driver.host.spool.path(),
	}
	if err.Spooled != "" {
		l.left = Count{messages, uint64(size)}
		l.queue.Leave()
	} else {
		l.counts.dropped[droppedUndelivered].add(messages, size)
		l.queue.Release()
	}
	l.freeRoom(int64(messages), size)
	return err
}
