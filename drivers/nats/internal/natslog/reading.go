package natslog

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/logplug/logplug/sdk/remote"
	"github.com/logplug/logplug/shared/logdriver"
)

const (
	// idleCheck is how often a reading that gets nothing looks whether there is
	// anything left to get.
	idleCheck = time.Second
	// patience is how long a reading of what is there goes on without progress.
	patience = time.Minute
	// Time between attempts to go on after a failure.
	retryMin = 100 * time.Millisecond
	retryMax = 2 * time.Second
)

// reading is one reader's way through a log.
type reading struct {
	*log
	cfg     logdriver.ReadConfig
	watcher *logdriver.LogWatcher
	logger  *logger // nil if the log is read without one
	begin   state   // of the log when the reading began
	unknown bool    // begin is not known yet

	read    uint64 // place of the last message that was read, or passed over
	end     uint64 // place where the reading ends, 0 for none
	last    uint64 // line that it ends with
	index   uint64 // of the last line that was read, 0 for none
	known   stored // the latest message that was there; without a time if it was not read
	matched bool   // Since has been reached
	timed   bool   // the reading ends when Until has passed
	pieces  [][]byte
	length  int // of pieces
	moved   time.Time
}

func newReading(l *log, cfg logdriver.ReadConfig, w *logdriver.LogWatcher, begin state, writer *logger) *reading {
	return &reading{
		log: l, cfg: cfg, watcher: w, begin: begin, logger: writer,
		matched: cfg.Since.IsZero(), timed: cfg.Follow && cfg.Until.After(time.Now()),
	}
}

// start runs the reading in a goroutine that ends, and closes the watcher's
// channel, when the reading has ended.
func (r *reading) start(ctx context.Context) {
	r.retain()
	ctx, cancel := context.WithCancelCause(ctx)
	stop := make(chan struct{})
	go func() {
		select {
		case <-r.watcher.WatchClose():
			cancel(errConsumerGone)
		case <-stop:
		}
	}()
	go func() {
		defer r.release()
		defer close(r.watcher.Msg)
		defer close(stop)
		defer cancel(nil)
		err := r.run(ctx)
		if err != nil && !errors.Is(context.Cause(ctx), errConsumerGone) {
			r.watcher.Fail(err)
		}
	}()
}

// errDone ends a reading that has delivered everything.
var errDone = errors.New("everything was read")

func (r *reading) run(ctx context.Context) error {
	if err := r.awaitLog(ctx); err != nil {
		return err
	}
	r.moved = time.Now()
	retry := backoff.NewExponentialBackOff()
	retry.InitialInterval, retry.MaxInterval, retry.Multiplier = retryMin, retryMax, 2
	for located := false; ; {
		var err error
		if !located {
			if err = r.locate(ctx); err == nil {
				located = true
				continue
			}
		} else {
			before := r.read
			err = r.consume(ctx)
			if r.read > before {
				r.moved = time.Now()
				retry.Reset()
			}
		}
		switch {
		case errors.Is(err, errDone):
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, logdriver.ErrGap), errors.Is(err, errNoStream), errors.Is(err, jetstream.ErrStreamNotFound):
			return err
		case time.Since(r.moved) > patience && (!r.cfg.Follow || r.ending()):
			return fmt.Errorf("no progress within %v: %w", patience, err)
		}
		if remote.Sleep(ctx, retry.NextBackOff()) != nil {
			return ctx.Err()
		}
	}
}

// ending tells that the logger was closed.
func (r *reading) ending() bool { return r.logger != nil && r.logger.isClosed() }

// awaitLog waits until the logger has found its log.
func (r *reading) awaitLog(ctx context.Context) error {
	if !r.unknown {
		return nil
	}
	select {
	case <-r.logger.ready:
		r.begin = r.logger.base
		return nil
	case <-r.logger.done:
		return fmt.Errorf("the logger was closed before it has reached a server: %w", logdriver.ErrNoLog)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// locate finds where to begin and, as far as it is known, where to end.
func (r *reading) locate(ctx context.Context) error {
	first := uint64(1)
	behind := r.begin.at + 1
	find := func(ok func(meta) bool) (uint64, error) {
		ctx, cancel := context.WithTimeout(ctx, 8*r.timeout)
		defer cancel()
		return r.search(ctx, behind, ok)
	}
	if tail := r.cfg.Tail; tail == 0 {
		first = behind
	} else if tail > 0 && uint64(tail) < r.begin.index {
		from := r.begin.index - uint64(tail)
		at, err := find(func(m meta) bool { return m.index > from })
		if err != nil {
			return err
		}
		first = at
	}
	if !r.cfg.Since.IsZero() {
		// The first message of at least that time is the one that raises the peak. After
		// it the times do not matter, also where Tail leaves it out.
		at, err := find(func(m meta) bool { return !m.peak.Before(r.cfg.Since) })
		if err != nil {
			return err
		}
		r.matched = at < first
		first = max(first, at)
	}
	r.read = first - 1
	r.know(stored{seq: r.begin.at})
	if !r.cfg.Follow || (r.logger == nil && r.begin.closed) {
		r.endAt(r.begin)
	}
	return nil
}

// endAt makes the last message of the log the end. It may have been removed since the
// reading began.
func (r *reading) endAt(s state) {
	if s.at < r.begin.at {
		s = r.begin
	}
	r.end, r.last = max(s.at, 1), s.line()
}

// take deals with one message of the log.
func (r *reading) take(ctx context.Context, msg jetstream.Msg, at uint64, stored time.Time) error {
	header := msg.Headers()
	got, err := parseMeta(header, stored)
	if err != nil {
		return r.damaged(ctx, at, err)
	}
	if got.event == eventPiece {
		r.read = at
		r.keep(msg.Data())
		return nil
	}
	if skip, err := r.checkIndex(ctx, &got); skip || err != nil {
		return err
	}
	r.read = at
	if got.event != "" {
		if got.event == eventClose && r.logger == nil && at >= r.begin.at {
			return errDone
		}
		return nil
	}
	if !r.cfg.Until.IsZero() && got.time.After(r.cfg.Until) {
		return errDone
	}
	if !r.matched {
		if got.time.Before(r.cfg.Since) {
			return nil
		}
		r.matched = true
	}
	m := logdriver.NewMessage()
	m.Timestamp = got.time
	if err := r.join(m, header); err != nil {
		logdriver.PutMessage(m)
		return r.damaged(ctx, at, err)
	}
	if err := parseLine(m, header, msg.Data()); err != nil {
		logdriver.PutMessage(m)
		return r.damaged(ctx, at, err)
	}
	return r.send(ctx, m)
}

// keep keeps a piece of a line. Pieces of a line that never came, because its writer
// was killed, are too many in the end, and the oldest ones go.
func (r *reading) keep(piece []byte) {
	r.pieces = append(r.pieces, piece)
	r.length += len(piece)
	for r.length > logdriver.MaxLineBytes || len(r.pieces) > maxBatch {
		r.length -= len(r.pieces[0])
		r.pieces = r.pieces[1:]
	}
}

// join begins the line of m with the pieces that came before it.
func (r *reading) join(m *logdriver.Message, h nats.Header) error {
	pieces := r.pieces
	r.pieces, r.length = nil, 0
	text := h.Get(headerPieces)
	if text == "" {
		return nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > len(pieces) {
		return fmt.Errorf("of %q pieces before it %d are there", text, len(pieces))
	}
	for _, piece := range pieces[len(pieces)-n:] {
		m.Line = append(m.Line, piece...)
	}
	return nil
}

func (r *reading) send(ctx context.Context, m *logdriver.Message) error {
	if !r.watcher.Send(ctx, m) {
		logdriver.PutMessage(m)
		return errConsumerGone
	}
	return nil
}

// damaged reports a message that cannot be read in its place.
func (r *reading) damaged(ctx context.Context, at uint64, err error) error {
	r.read, r.index = at, 0
	m := logdriver.NewMessage()
	m.Err = fmt.Errorf("message %d of the stream %q is damaged: %w", at, r.stream.name, err)
	return r.send(ctx, m)
}

// checkIndex compares the number of a line, or of the last one before an event, with
// that of the line that was read before.
func (r *reading) checkIndex(ctx context.Context, got *meta) (skip bool, err error) {
	if got.index == 0 { // of another program
		r.index = 0
		return false, nil
	}
	if got.event == "" && got.index <= r.index {
		return true, nil // it was read before
	}
	if before := got.before(); r.index > 0 && before > r.index {
		if err := r.missing(ctx, before-r.index); err != nil {
			return false, err
		}
	}
	r.index = max(r.index, got.index)
	return false, nil
}

// missing deals with n lines that were removed: that the first ones are is what limits
// do, and others are reported in their place.
func (r *reading) missing(ctx context.Context, n uint64) error {
	first, err := r.ahead(ctx, 1)
	switch {
	case errors.Is(err, errNoMessage), err == nil && first.seq > r.read:
		return fmt.Errorf("%w: %d lines of subject %q", logdriver.ErrGap, n, r.subject)
	case err != nil:
		return err
	}
	m := logdriver.NewMessage()
	m.Err = fmt.Errorf("%d lines were removed from the stream %q here", n, r.stream.name)
	return r.send(ctx, m)
}
