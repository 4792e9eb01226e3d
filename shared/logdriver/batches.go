package logdriver

import (
	"context"
	"io"
)

const (
	// waitingBatches is how many batches may wait in a watcher for its consumer.
	waitingBatches = 4
	// A batch returns to the producer if it has minSpent messages or more, and their lines take
	// maxSpentBytes or less.
	minSpent      = 64
	maxSpentBytes = 256 << 10
)

// batches is the way for many messages at once beside LogWatcher.Msg, which costs
// less. It is in use from the consumer's first ReceiveBatch on: whatever the
// producer sends afterwards comes this way. What it has sent before is in Msg, and
// comes first.
type batches struct {
	ch   chan []*Message
	next []*Message // the consumer's: was received before it was its turn

	spent chan []*Message
	spare []*Message // the producer's
}

// PutBatch is PutMessage for a batch that ReceiveBatch has returned. The producer gets its messages to
// fill them again. The slice is not the caller's any more. It is for consumers.
func (w *LogWatcher) PutBatch(batch []*Message) {
	lines := 0
	for _, m := range batch {
		m.Reset()
		lines += cap(m.Line)
	}
	if len(batch) >= minSpent && lines <= maxSpentBytes {
		select {
		case w.batches.spent <- batch:
			return
		default:
		}
	}
	for _, m := range batch {
		messages.Put(m)
	}
}

// NewMessage is the function NewMessage for a message that is to be sent to w. Where a consumer takes
// batches it costs less. It is for producers: for one goroutine at a time.
func (w *LogWatcher) NewMessage() *Message {
	b := &w.batches
	if len(b.spare) == 0 {
		select {
		case b.spare = <-b.spent:
		default:
			return NewMessage()
		}
	}
	last := len(b.spare) - 1
	m := b.spare[last]
	b.spare[last], b.spare = nil, b.spare[:last]
	return m
}

// Batching tells whether the consumer takes batches. It is for producers.
func (w *LogWatcher) Batching() bool { return w.batching.Load() }

// SendBatch is Send for many messages. It returns how many the consumer has
// got: fewer than all when it is gone or ctx has ended. The others stay the
// caller's; the slice does not. It is for producers.
func (w *LogWatcher) SendBatch(ctx context.Context, msgs []*Message) (sent int) {
	if !w.Batching() {
		for i, m := range msgs {
			if !w.Send(ctx, m) {
				return i
			}
		}
		return len(msgs)
	}
	select {
	case w.batches.ch <- msgs:
		return len(msgs)
	case <-w.closed:
	case <-ctx.Done():
	}
	return 0
}

// ReceiveBatch waits for messages and returns those that there are, using buf for
// them if it likes. The error is io.EOF when the producer has ended, after which Err
// may tell why, or that of ctx. It is for consumers: for one goroutine that uses
// neither Msg nor All beside it.
func (w *LogWatcher) ReceiveBatch(ctx context.Context, buf []*Message) ([]*Message, error) {
	w.batching.Store(true)
	if batch := w.batches.next; batch != nil {
		w.batches.next = nil
		return batch, nil
	}
	select {
	case m, ok := <-w.Msg:
		if !ok {
			return w.lastBatch()
		}
		return w.singles(append(buf[:0], m)), nil
	case batch := <-w.batches.ch:
		if before := w.singles(buf[:0]); len(before) > 0 {
			w.batches.next = batch
			return before, nil
		}
		return batch, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// singles appends what is in Msg, as far as there is room.
func (w *LogWatcher) singles(batch []*Message) []*Message {
	for len(batch) < watcherMessages {
		select {
		case m, ok := <-w.Msg:
			if !ok {
				return batch
			}
			batch = append(batch, m)
		default:
			return batch
		}
	}
	return batch
}

// lastBatch returns what was sent before Msg was closed.
func (w *LogWatcher) lastBatch() ([]*Message, error) {
	select {
	case batch := <-w.batches.ch:
		return batch, nil
	default:
		return nil, io.EOF
	}
}

// Waiting tells whether there are messages for the consumer to receive.
func (w *LogWatcher) Waiting() bool {
	return len(w.Msg) > 0 || len(w.batches.ch) > 0 || w.batches.next != nil
}
