package logdriver

import (
	"context"
	"iter"
	"sync"
	"sync/atomic"
	"time"
)

// ReadConfig selects messages.
type ReadConfig struct {
	// Since leaves out messages before it; a message at exactly Since is
	// included. Only the beginning is searched: after the first message that
	// matches, older timestamps are returned too. Zero means no bound.
	Since time.Time
	// Until ends the reading at the first message after it. Zero means no bound.
	Until time.Time
	// Tail is the number of messages from the end of what is logged so far
	// to start with, negative for all of them. With Since, the shorter of both
	// selections is returned.
	Tail int
	// Follow goes on with messages as they are logged, until the logger is
	// closed, Until has passed, or the reader goes away.
	Follow bool
}

// LogReader is a Logger whose messages can be read back.
type LogReader interface {
	// ReadLogs starts reading and returns at once. What is logged
	// after ReadLogs returned is seen by a reader that follows: there is neither
	// a gap nor a duplicate between the past and the followed part.
	// Reading ends when the selection is exhausted, ctx ends, or the
	// consumer closes the watcher.
	ReadLogs(ctx context.Context, cfg ReadConfig) *LogWatcher
}

// watcherMessages is how many messages may wait in a watcher for its consumer.
const watcherMessages = 1024

// LogWatcher is one reader's stream of messages.
//
// The producer sends on Msg and, when it ends for a reason other than having
// delivered everything that was asked for, sends that reason on Err. It then
// closes Msg. The consumer reads Msg until it is closed, then looks at Err
// without waiting, and calls Close at any time to stop early. The consumer owns
// the messages that it receives and may return them with PutMessage.
type LogWatcher struct {
	// Msg carries the messages, in the order in which they were logged.
	Msg chan *Message
	// Err carries at most one error.
	Err chan error

	closeOnce sync.Once
	closed    chan struct{}

	batching atomic.Bool
	batches  batches
}

// NewLogWatcher returns a watcher for a producer to fill.
func NewLogWatcher() *LogWatcher {
	return &LogWatcher{
		Msg:    make(chan *Message, watcherMessages),
		Err:    make(chan error, 1),
		closed: make(chan struct{}),

		batches: batches{ch: make(chan []*Message, waitingBatches), spent: make(chan []*Message, waitingBatches)},
	}
}

// Close tells the producer that the consumer is gone. It may be called more
// than once and from any goroutine.
func (w *LogWatcher) Close() { w.closeOnce.Do(func() { close(w.closed) }) }

// WatchClose returns a channel that is closed once the consumer is gone.
func (w *LogWatcher) WatchClose() <-chan struct{} { return w.closed }

// Fail records err as the reason for ending. Only the first one is kept. It is
// for producers.
func (w *LogWatcher) Fail(err error) {
	select {
	case w.Err <- err:
	default:
	}
}

// Send hands m to the consumer, waiting for room. It returns false, and m stays
// the caller's, when the consumer is gone or ctx has ended. It is for producers.
func (w *LogWatcher) Send(ctx context.Context, m *Message) bool {
	if w.Batching() {
		return w.SendBatch(ctx, []*Message{m}) == 1
	}
	select {
	case w.Msg <- m:
		return true
	default:
	}
	select {
	case w.Msg <- m:
		return true
	case <-w.closed:
		return false
	case <-ctx.Done():
		return false
	}
}

// All iterates over the messages, and last over the error if there was one. It
// closes the watcher when the loop ends. The messages belong to the loop's body.
func (w *LogWatcher) All() iter.Seq2[*Message, error] {
	return func(yield func(*Message, error) bool) {
		defer w.Close()
		var buf []*Message
		for {
			batch, err := w.ReceiveBatch(context.Background(), buf)
			if err != nil {
				break // the producer has ended
			}
			for _, m := range batch {
				if !yield(m, nil) {
					return
				}
			}
			buf = batch
		}
		select {
		case err := <-w.Err:
			yield(nil, err)
		default:
		}
	}
}
