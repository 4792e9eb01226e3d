package natslog

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/logplug/logplug/shared/logdriver"
)

const (
	// closeWait bounds how long Close waits for the server to take note of it.
	closeWait = 2 * time.Second
	// headroom is what a line leaves of the largest message for headers: a server
	// takes up to 64 KiB of them.
	headroom = 64 << 10
)

// logger is a log that is open for writing.
type logger struct {
	*log
	id      string // of the stream of messages
	encoder *encoder

	// Begin, LogBatch and Close own these; they are not called at the same time.
	synced  bool // state is what the server has
	opened  bool // the log says that it is open
	atomic  bool // the stream takes atomic batches
	pace    pace
	largest int // message that the stream takes, in bytes with headers; 0: not known

	ready  chan struct{} // closed when state is known for the first time
	done   chan struct{} // closed by Close
	mu     sync.Mutex
	state  state
	base   state // the first one that was known
	closed bool
}

var _ interface {
	logdriver.BatchLogger
	logdriver.SizedLogger
	logdriver.LogReader
	logdriver.Sequencer
} = (*logger)(nil)

// newLogger takes over the caller's use of log's link.
func newLogger(log *log, stream string, attrs []logdriver.Attr) *logger {
	if stream == "" {
		stream = rand.Text()
	}
	log.enter(log.key())
	return &logger{
		log: log, id: stream, encoder: newEncoder(log.subject, attrs),
		ready: make(chan struct{}), done: make(chan struct{}),
	}
}

// Name implements logdriver.Logger.
func (l *logger) Name() string { return name }

// begin looks at the stream and at the log, and notes in the log that it is open.
func (l *logger) begin(ctx context.Context) error {
	if err := l.sync(ctx); err != nil {
		return err
	}
	return l.note(ctx, eventOpen)
}

// sync learns what the stream holds of the log.
func (l *logger) sync(ctx context.Context) error {
	conn, err := l.get(ctx)
	if err != nil {
		return err
	}
	info, err := l.stream.find(ctx, l.js, l.subject)
	if err != nil {
		return err
	}
	l.atomic = info.Config.AllowAtomicPublish
	l.largest = int(conn.MaxPayload())
	if n := int(info.Config.MaxMsgSize); n > 0 {
		l.largest = min(l.largest, n)
	}
	now, err := l.current(ctx, info.State.LastSeq+1)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.at == 0 {
		// Lines that another writer has added and that are gone are not known.
		now.follows = cmp.Or(l.state.follows, l.state.index)
		now.index = max(now.index, l.state.index)
	}
	if len(now.writers) == 0 {
		// All messages are gone, by age or by hand, or another program has put one
		// behind them: what is known here goes on.
		now.writers = l.state.writers
	}
	if l.state.peak.After(now.peak) {
		now.peak = l.state.peak
	}
	l.state = now
	l.synced = true
	select {
	case <-l.ready:
	default:
		l.base = now.clone()
		close(l.ready)
	}
	return nil
}

// note publishes an event, if the log does not tell it yet.
func (l *logger) note(ctx context.Context, event string) error {
	if event == eventOpen && l.opened {
		return nil
	}
	s := l.snapshot()
	l.encoder.event(event, s.index, s.peak)
	l.encoder.setFollows(s.follows)
	l.encoder.setWriters(s.writers)
	at, err := l.publishOne(ctx, s.at)
	if err != nil {
		l.synced = false
		return err
	}
	l.opened = event == eventOpen
	s.at, s.follows, s.closed = at, 0, event == eventClose
	l.advance(s)
	return nil
}

func (l *logger) snapshot() state {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state.clone()
}

func (l *logger) advance(s state) {
	l.mu.Lock()
	l.state = s
	l.mu.Unlock()
}

// LastSeq implements logdriver.Sequencer.
func (l *logger) LastSeq() uint64 {
	s := l.snapshot()
	return s.held(l.id)
}

// BufSize implements logdriver.SizedLogger: lines that fit into one message are not
// split.
func (l *logger) BufSize() int {
	if l.largest == 0 {
		return 0
	}
	return min(l.largest-min(headroom, l.largest/2), logdriver.MaxLineBytes)
}

// Log implements logdriver.Logger.
func (l *logger) Log(m *logdriver.Message) error {
	err := l.LogBatch(context.Background(), []*logdriver.Message{m})
	var batch *logdriver.BatchError
	if errors.As(err, &batch) && batch.Done == 1 {
		if reason := batch.Rejected[0]; reason != nil {
			return logdriver.Permanent(reason)
		}
		err = nil
	}
	if err != nil {
		return err
	}
	logdriver.PutMessage(m)
	return nil
}

// attempts is how often a batch is published before LogBatch reports why it was
// not stored. Between them the log is looked at again: another writer may have
// appended to it.
const attempts = 3

// LogBatch implements logdriver.BatchLogger. It returns nil when the stream has
// acknowledged all messages.
func (l *logger) LogBatch(ctx context.Context, msgs []*logdriver.Message) error {
	if l.isClosed() {
		return logdriver.ErrClosed
	}
	b := batch{logger: l, msgs: msgs}
	var err error
	for range attempts {
		if err = b.store(ctx); err == nil || !isConflict(err) {
			break
		}
	}
	if err == nil && len(b.rejected) == 0 {
		return nil
	}
	return &logdriver.BatchError{Done: b.done, Rejected: b.rejected, Err: err}
}

func (l *logger) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

// Close implements logdriver.Logger. It notes in the log that it is closed, for
// readers on other hosts; if that fails, they go on waiting for messages.
func (l *logger) Close() error {
	if l.isClosed() {
		return nil
	}
	if l.leave(l.key()) && l.opened {
		ctx, cancel := context.WithTimeout(context.Background(), min(closeWait, l.timeout))
		if err := l.end(ctx); err != nil {
			slog.Warn("readers on other hosts do not learn that the log was closed", "subject", l.subject, "error", err)
		}
		cancel()
	}
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	close(l.done)
	l.release()
	return nil
}

func (l *logger) end(ctx context.Context) (err error) {
	for range attempts {
		if !l.synced {
			if err = l.sync(ctx); err != nil {
				return err
			}
		}
		if err = l.note(ctx, eventClose); !isConflict(err) {
			return err
		}
	}
	return fmt.Errorf("note that the log is closed: %w", err)
}
