package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/logplug/logplug/drivers/journald/internal/journal"
	"github.com/logplug/logplug/shared/logdriver"
)

// logger writes one log to journald.
type logger struct {
	place
	enc     *encoder
	confirm string
	last    uint64 // that the journal held at Open

	changed  broadcast     // something was stored
	closed   chan struct{} // closed by Close
	presence *presence

	mu     sync.Mutex // held while sending, for a bounded time
	sock   socket
	store  *store // nil with confirm=sent
	count  uint64 // settled messages, for those without a sequence
	buf    []byte
	ending bool
}

var _ interface {
	logdriver.BatchLogger
	logdriver.LogReader
	logdriver.Flusher
	logdriver.Sequencer
} = (*logger)(nil)

func newLogger(where place, enc *encoder, confirm string) *logger {
	return &logger{
		place: where, enc: enc, confirm: confirm, sock: socket{path: where.socket},
		closed: make(chan struct{}),
	}
}

// begin finds out what the journal holds of the logger's stream.
func (l *logger) begin(ctx context.Context, resumes bool) error {
	entries, err := l.place.reader(fieldEpoch, l.enc.epoch)
	if err != nil {
		return err
	}
	l.presence = announce(&l.place)
	unsure := resumes && !l.settled(ctx)
	if err := entries.Refresh(); err != nil {
		entries.Close()
		if l.confirm == confirmSent {
			return nil // it may write what it cannot read
		}
		return &logdriver.OptionError{Option: "confirm", Reason: fmt.Sprintf(
			"%s needs to read the journal: run as a member of the group systemd-journal, or choose sent: %v", l.confirm, err)}
	}
	var beyond map[uint64]bool
	if l.last, beyond, err = lastStored(ctx, entries); err != nil {
		entries.Close()
		return err
	}
	entries.SkipAll()
	if l.confirm == confirmSent {
		entries.Close()
		return nil
	}
	l.store = newStore(&l.sock, entries, beyond)
	l.store.unsure = unsure
	return nil
}

// settled waits for what a predecessor sent and may still be in journald's queue. What
// a journald that is down or does not get on will make of that, resolve finds out before
// the first message is sent; with confirm=sent messages may be stored twice.
func (l *logger) settled(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, openWait)
	defer cancel()
	return l.sock.settle(ctx) == nil
}

// Name implements logdriver.Logger.
func (l *logger) Name() string { return name }

// LastSeq implements logdriver.Sequencer.
func (l *logger) LastSeq() uint64 { return l.last }

// Log implements logdriver.Logger.
func (l *logger) Log(m *logdriver.Message) error {
	if err := l.LogBatch(context.Background(), []*logdriver.Message{m}); err != nil {
		return err
	}
	logdriver.PutMessage(m)
	return nil
}

// LogBatch implements logdriver.BatchLogger.
func (l *logger) LogBatch(ctx context.Context, msgs []*logdriver.Message) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ending {
		return logdriver.ErrClosed
	}
	done := 0
	for done < len(msgs) {
		n, err := l.settleSome(ctx, msgs[done:])
		done += n
		l.count += uint64(n)
		if n > 0 {
			l.changed.signal()
		}
		if err != nil {
			return &logdriver.BatchError{Done: done, Err: err}
		}
	}
	return nil
}

// settleSome sends messages from the front and returns how many are settled.
func (l *logger) settleSome(ctx context.Context, msgs []*logdriver.Message) (int, error) {
	if l.store == nil {
		return l.send(ctx, msgs, nil)
	}
	if err := l.store.resolve(ctx); err != nil {
		return 0, err
	}
	msgs = msgs[:min(len(msgs), l.store.window)]
	l.store.unsure = true
	stored := 0
	n, err := l.send(ctx, msgs, func(ordinal uint64) bool {
		known := l.store.have[ordinal]
		if known {
			stored++
		}
		return known
	})
	if err != nil {
		return 0, err // resolve finds out which are stored
	}
	if err := l.store.await(ctx, uint64(n-stored)); err != nil {
		return 0, err
	}
	if l.confirm == confirmSynced {
		err = l.store.sync()
	}
	if err != nil {
		for i, m := range msgs { // offered again, they are stored already
			l.store.have[l.ordinal(m, i)] = true
		}
		return 0, err
	}
	for i, m := range msgs {
		delete(l.store.have, l.ordinal(m, i))
	}
	return n, nil
}

// ordinal returns the sequence of the message with index i of those to settle next. Without
// one from the host it is the same when the message is offered again.
func (l *logger) ordinal(m *logdriver.Message, i int) uint64 {
	if m.Seq != 0 {
		return m.Seq
	}
	return l.count + uint64(i) + 1
}

// send hands messages to journald, but for those that skip tells.
func (l *logger) send(ctx context.Context, msgs []*logdriver.Message, skip func(ordinal uint64) bool) (n int, err error) {
	if err := l.sock.dial(); err != nil {
		return 0, err
	}
	now := time.Now()
	for i, m := range msgs {
		seq := l.ordinal(m, i)
		if skip != nil && skip(seq) {
			continue
		}
		l.buf = l.enc.append(l.buf[:0], m, seq, now)
		if err := l.sock.send(ctx, l.buf); err != nil {
			return i, err
		}
	}
	if cap(l.buf) > maxIdleBuf {
		l.buf = nil
	}
	return len(msgs), nil
}

// maxIdleBuf is what a logger keeps for its next message.
const maxIdleBuf = 4 << 10

// Flush implements logdriver.Flusher: what is in the journal is synced to the disk.
func (l *logger) Flush(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.store != nil {
		return l.store.sync()
	}
	if err := l.sock.settle(ctx); err != nil {
		return err
	}
	entries, err := l.place.reader(fieldEpoch, l.enc.epoch)
	if err != nil {
		return err
	}
	defer entries.Close()
	if entries.Refresh() != nil {
		return nil // it may not read the journal, and has promised less
	}
	return entries.Sync()
}

// Close implements logdriver.Logger.
func (l *logger) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var err error
	if l.store == nil && l.sock.conn != nil {
		// Readers that follow are to see the last message.
		ctx, cancel := context.WithTimeout(context.Background(), stallTime)
		defer cancel()
		err = l.sock.settle(ctx)
	}
	l.ending = true
	close(l.closed)
	l.changed.signal()
	l.release()
	return err
}

// release lets go of what the logger holds.
func (l *logger) release() {
	l.presence.end()
	l.sock.close()
	if l.store != nil {
		l.store.entries.Close()
	}
}

// broadcast tells any number of waiting goroutines that something happened. Its zero
// value is ready for use.
type broadcast struct {
	mu sync.Mutex
	ch chan struct{}
}

// wait returns a channel that the next signal closes.
func (b *broadcast) wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch == nil {
		b.ch = make(chan struct{})
	}
	return b.ch
}

func (b *broadcast) signal() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch != nil {
		close(b.ch)
		b.ch = nil
	}
}

// lastStored returns the highest sequence up to which entries are known to be
// complete, and 0 if there are none, and the stored sequences beyond it.
//
// A window of messages is sent when those before it are all in the journal, so only
// the last window may have gaps, and windows lie one behind the other. The tail holds
// two of them at least: of its highest sequences, one more than a window has was in the
// journal before the last window was sent. Within a window the order may be any:
// a message that journald dropped is stored late.
func lastStored(ctx context.Context, entries *journal.Reader) (last uint64, beyond map[uint64]bool, err error) {
	entries.Tail(2*maxWindow + 1)
	beyond = make(map[uint64]bool, entries.Pending())
	var e journal.Entry
	for {
		ok, err := next(ctx, nil, entries, &e)
		if !ok && err != nil {
			return 0, nil, err
		}
		if !ok {
			break
		}
		if err == nil { // otherwise it is missing, and will be sent again
			beyond[ordinal(&e)] = true
		}
	}
	if stored := slices.Sorted(maps.Keys(beyond)); len(stored) > maxWindow {
		last = stored[len(stored)-1-maxWindow]
	} else if n := len(stored); n > 0 && stored[n-1] > maxWindow {
		// Older ones were removed, but the first of those that are left need not be
		// the first one of its window: only what no window with the last one has
		// was complete.
		last = stored[n-1] - maxWindow
	}
	for beyond[last+1] {
		last++
	}
	maps.DeleteFunc(beyond, func(n uint64, _ bool) bool { return n <= last })
	return last, beyond, nil
}
