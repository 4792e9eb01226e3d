package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/logplug/logplug/shared/logdriver"
	pb "github.com/logplug/logplug/shared/proto/logplug/v1"
	"github.com/logplug/logplug/shared/wire"
	"google.golang.org/grpc"
)

// ReadLogs implements logdriver.LogReader. What this logger accepted before
// the call is part of the past, unless the driver is blocked: then what it has
// stored is. It waits for the driver to have taken its position, for at most
// twice Timeouts.Call.
func (l readingLogger) ReadLogs(ctx context.Context, cfg logdriver.ReadConfig) *logdriver.LogWatcher {
	wait, cancel := context.WithTimeout(ctx, l.driver.host.cfg.Timeouts.Call)
	defer cancel()
	at, err := l.settleForReading(ctx, wait)
	if err != nil {
		return failedWatcher(fmt.Errorf("reading logger %s: %w", l.label(), err))
	}
	w, err := l.read(ctx, wait, at, cfg)
	if err != nil {
		return failedWatcher(err)
	}
	return w
}

// settleForReading waits until the driver has what was accepted so far, and is there
// to be read.
func (l *logger) settleForReading(ctx, wait context.Context) (place, error) {
	if err := l.awaitStored(ctx, wait); err != nil {
		return place{}, err
	}
	l.mu.Lock()
	closing := l.closing
	l.mu.Unlock()
	if closing {
		return place{}, fmt.Errorf("%w; use Host.ReadLogs", logdriver.ErrClosed)
	}
	return l.waitSession(wait, place{})
}

// awaitStored waits until the driver has what was accepted so far. One that is blocked, or
// takes longer than wait, is read as it is: an error is that of ctx.
func (l *logger) awaitStored(ctx, wait context.Context) error {
	l.mu.Lock()
	blocked := l.blocked.reason != "" && l.session != nil
	l.mu.Unlock()
	if blocked {
		return nil
	}
	if err := l.waitSettled(wait); err != nil && ctx.Err() != nil {
		return err
	}
	return nil
}

// read starts a reading of what l has stored at p. If l is moved meanwhile, it is read
// where it is opened next, unless that takes longer than wait.
func (l *logger) read(ctx, wait context.Context, at place, cfg logdriver.ReadConfig) (*logdriver.LogWatcher, error) {
	for {
		r := at.session.newReading(ctx, l.label(), cfg)
		r.logger, r.at = l, at
		w, err := r.begin(&pb.ReadLogsRequest{
			Log: &pb.ReadLogsRequest_Logger{Logger: at.id}, Config: wire.ReadConfigToProto(cfg),
		})
		if err == nil {
			return w, nil
		}
		moved := errors.Is(err, wire.ErrUnknownLogger) || errors.Is(err, wire.ErrUnavailable)
		if !moved || !l.hasLeft(at) || wait.Err() != nil {
			return nil, err
		}
		if at, err = l.waitSession(wait, at); err != nil {
			return nil, fmt.Errorf("reading logger %s: %w", l.label(), err)
		}
	}
}

func failedWatcher(err error) *logdriver.LogWatcher {
	w := logdriver.NewLogWatcher()
	w.Fail(err)
	close(w.Msg)
	return w
}

// newReading returns a reading in s that ends with ctx, or with those of s.
func (s *session) newReading(ctx context.Context, label string, cfg logdriver.ReadConfig) *reading {
	ctx, cancel := context.WithCancelCause(ctx)
	unlink := context.AfterFunc(s.readers, func() { cancel(cutOff(context.Cause(s.readers))) })
	return &reading{session: s, label: label, cfg: cfg, ctx: ctx, cancel: cancel, unlink: unlink, watcher: logdriver.NewLogWatcher()}
}

// cutOff is why a reading ended before the end of what it reads.
func cutOff(cause error) error { return fmt.Errorf("%w: %w; read again", wire.ErrUnavailable, cause) }

// begin returns once the driver has begun the reading.
func (r *reading) begin(req *pb.ReadLogsRequest) (*logdriver.LogWatcher, error) {
	if err := r.start(req); err != nil {
		r.unlink()
		r.cancel(err)
		return nil, err
	}
	started := r.session.driver.host.startReading(func() {
		defer r.unlink()
		r.pump()
	})
	if !started {
		r.unlink()
		r.cancel(errHostClosed)
		return nil, errHostClosed
	}
	return r.watcher, nil
}

// startReading runs f in a goroutine that Close waits for. It returns false if
// Close has begun.
func (h *Host) startReading(f func()) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return false
	}
	h.readings.Go(f)
	return true
}

// reading moves one ReadLogs stream into a watcher.
type reading struct {
	session *session
	label   string
	cfg     logdriver.ReadConfig
	logger  *logger // that reads its own log; nil if no logger is known to be open
	at      place   // of the logger
	ctx     context.Context
	cancel  context.CancelCauseFunc
	unlink  func() bool // from the session
	stream  grpc.ServerStreamingClient[pb.ReadLogsResponse]
	watcher *logdriver.LogWatcher
	batch   int // messages in the batch before
}

var errConsumerGone = errors.New("the consumer closed the watcher")

// start waits for the driver's response header, which says that the reading's
// position is taken.
func (r *reading) start(req *pb.ReadLogsRequest) error {
	limit := r.session.driver.host.cfg.Timeouts.Call
	late := time.AfterFunc(limit, func() {
		r.session.unanswered()
		r.cancel(fmt.Errorf("no answer within %v: %w", limit, context.DeadlineExceeded))
	})
	defer late.Stop()
	stream, err := r.session.client.ReadLogs(r.ctx, req)
	if err != nil {
		return r.explain(err)
	}
	r.stream = stream
	// Header has no error of its own: none where it should be means that the stream has
	// ended. What is no error is for the pump to see.
	if header, _ := stream.Header(); header == nil {
		if err := stream.RecvMsg(&wire.ReadLogsResponse{}); err != nil && !errors.Is(err, io.EOF) {
			return r.explain(err)
		}
	}
	return nil
}

// explain turns the stream's error into what the reader should see; nil for an
// end that the consumer asked for.
func (r *reading) explain(err error) error {
	cause := context.Cause(r.ctx)
	switch {
	case errors.Is(cause, errConsumerGone), cause == nil && errors.Is(err, errConsumerGone):
		return nil
	case cause != nil:
		err = cause
	default:
		if err = wire.FromStatus(r.session.driver.name, err); timedOut(r.ctx, err) {
			err = context.DeadlineExceeded
		}
	}
	return fmt.Errorf("reading the log of %s from driver %s: %w", r.label, r.session.driver.name, err)
}

func (r *reading) pump() {
	w := r.watcher
	defer close(w.Msg)
	defer r.cancel(io.EOF)
	gone := make(chan struct{})
	defer close(gone)
	go func() {
		select {
		case <-w.WatchClose():
			r.cancel(errConsumerGone)
		case <-gone:
		}
	}()
	var (
		resp wire.ReadLogsResponse
		dec  wire.Decoder
		load backlog
	)
	defer resp.Free()
	for {
		if err := r.stream.RecvMsg(&resp); err != nil {
			if errors.Is(err, io.EOF) {
				err = r.endedEarly()
			}
			if err != nil {
				r.fail(err)
			}
			return
		}
		if err := r.deliver(&resp, &dec, &load); err != nil {
			r.fail(err)
			return
		}
	}
}

// endedEarly returns an error if the driver has ended a reading that follows while the
// logger is open: it closed its part of it, which is opened in another process, or
// again in this one.
func (r *reading) endedEarly() error {
	expired := !r.cfg.Until.IsZero() && !time.Now().Before(r.cfg.Until)
	if r.logger == nil || !r.cfg.Follow || expired || r.logger.closedAt(r.at) {
		return nil
	}
	return cutOff(errors.New("the driver ended the reading, but the logger is open"))
}

func (r *reading) fail(err error) {
	if err := r.explain(err); err != nil {
		r.watcher.Fail(err)
	}
}

func (r *reading) deliver(resp *wire.ReadLogsResponse, dec *wire.Decoder, load *backlog) error {
	if r.watcher.Batching() {
		return r.deliverBatch(resp, dec)
	}
	for {
		m := logdriver.NewMessage()
		ok, err := resp.Next(dec, m)
		if err != nil || !ok {
			logdriver.PutMessage(m)
			return err
		}
		if !load.makeRoom(r.ctx, r.watcher, m) || !r.watcher.Send(r.ctx, m) {
			logdriver.PutMessage(m)
			return errConsumerGone
		}
	}
}

// deliverBatch hands over what resp holds as batches of up to maxHandedBytes; how
// many of them wait is bounded by the watcher.
func (r *reading) deliverBatch(resp *wire.ReadLogsResponse, dec *wire.Decoder) error {
	for more := true; more; {
		var batch []*logdriver.Message
		var err error
		batch, more, err = r.nextBatch(resp, dec)
		if len(batch) > 0 && r.watcher.SendBatch(r.ctx, batch) < len(batch) {
			return errConsumerGone
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// nextBatch decodes messages of resp, and tells whether there may be more.
func (r *reading) nextBatch(resp *wire.ReadLogsResponse, dec *wire.Decoder) (batch []*logdriver.Message, more bool, err error) {
	batch = make([]*logdriver.Message, 0, r.batch)
	for size := 0; size < maxHandedBytes; {
		m := logdriver.NewMessage()
		ok, err := resp.Next(dec, m)
		if err != nil || !ok {
			logdriver.PutMessage(m)
			r.batch = max(r.batch, len(batch)) // the next will be alike
			return batch, false, err
		}
		batch = append(batch, m)
		size += memoryOf(m)
	}
	return batch, true, nil
}
