package main

import (
	"context"
	"errors"
	"sync"

	"github.com/logplug/logplug/drivers/syslog/internal/frame"
	"github.com/logplug/logplug/sdk/remote"
	"github.com/logplug/logplug/shared/logdriver"
)

// logger sends whole lines.
type logger struct {
	format  *frame.Formatter
	sender  *remote.Sender
	queue   queue
	buffers *sync.Pool
}

// buffer holds the frames of a batch.
type buffer struct {
	data []byte
	ends []int
}

// maxBuffer is the size above which a buffer is not used again.
const maxBuffer = 4 << 20

// Name implements logdriver.Logger.
func (l *logger) Name() string { return name }

// BufSize implements logdriver.SizedLogger: a line is split into messages here, once
// it is known how long it is.
func (l *logger) BufSize() int { return logdriver.MaxLineBytes }

// Log implements logdriver.Logger.
func (l *logger) Log(m *logdriver.Message) error {
	err := l.LogBatch(context.Background(), []*logdriver.Message{m})
	if err != nil {
		return err
	}
	logdriver.PutMessage(m)
	return nil
}

// LogBatch implements logdriver.BatchLogger. What the sender could not have
// confirmed in time stays with it, so that messages which are offered again
// are not sent twice for that alone.
func (l *logger) LogBatch(ctx context.Context, msgs []*logdriver.Message) error {
	known, ok := l.queue.match(msgs)
	if !ok {
		// Not what was offered before: begin anew with what is offered now.
		if err := l.sender.Forget(ctx); err != nil {
			return err
		}
		l.queue.clear()
	}
	n, err := l.send(ctx, msgs[known:])
	l.queue.confirm(n)
	if done := l.queue.take(len(msgs)); done < len(msgs) {
		return &logdriver.BatchError{Done: done, Err: err}
	}
	return nil
}

// send puts messages into the queue, and sends all that is in it. It returns how
// many frames were confirmed.
func (l *logger) send(ctx context.Context, msgs []*logdriver.Message) (int, error) {
	b := l.buffers.Get().(*buffer)
	b.data, b.ends = b.data[:0], b.ends[:0]
	for _, m := range msgs {
		before := len(b.ends)
		b.data, b.ends = l.format.Append(b.data, b.ends, m)
		l.queue.add(m, len(b.ends)-before)
	}
	n, err := l.sender.Send(ctx, b.data, b.ends)
	if errors.Is(err, remote.ErrNotAdded) {
		l.queue.drop(len(msgs))
	}
	if cap(b.data) <= maxBuffer {
		l.buffers.Put(b)
	}
	return n, err
}

// Close implements logdriver.Logger.
func (l *logger) Close() error { return l.sender.Close() }
