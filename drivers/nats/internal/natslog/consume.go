package natslog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/logplug/logplug/shared/logdriver"
)

const (
	// pullBytes bounds what a reader has in flight, unless one message is larger.
	pullBytes = 4 << 20
	// A consumer whose server has vanished is noticed after two heartbeats.
	heartbeat  = 2 * time.Second
	pullExpiry = 20 * time.Second
	// inactive is when servers forget a consumer that its reader has left behind.
	inactive = time.Minute
	// lateness is how long after Until messages may still be on their way.
	lateness = 200 * time.Millisecond
	// forget bounds the time for telling them.
	forget = 2 * time.Second
)

var (
	errDelivery  = errors.New("the server left out a message, reading again from there")
	errReconnect = errors.New("connected again, reading on from there")
)

// delivery hands the messages of a consumer to its reading.
type delivery struct {
	messages chan jetstream.Msg
	failed   chan error
	gone     chan struct{} // closed when the reading has left
}

func (d *delivery) message(m jetstream.Msg) {
	select {
	case d.messages <- m:
	case <-d.gone:
	}
}

func (d *delivery) failure(_ jetstream.ConsumeContext, err error) {
	select {
	case d.failed <- err:
	default:
	}
}

// consume reads on behind r.read until the end, or until something fails. Then it
// may be called again.
func (r *reading) consume(ctx context.Context) error {
	wait, stop := context.WithTimeout(ctx, r.timeout)
	conn, err := r.get(wait)
	stop()
	if err != nil {
		return err
	}
	if err := r.checkSetBack(ctx); err != nil {
		return err
	}
	if err := r.checkEnd(ctx); err != nil {
		return err
	}
	create, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	consumer, err := r.js.CreateConsumer(create, r.stream.name, jetstream.ConsumerConfig{
		FilterSubject: r.subject, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: r.read + 1,
		AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1, InactiveThreshold: inactive,
	})
	if err != nil {
		return fmt.Errorf("read subject %q of the stream %q: %w", r.subject, r.stream.name, err)
	}
	// Where it fails, the server forgets the consumer by itself.
	defer r.remove(consumer.CachedInfo().Name)
	d := &delivery{messages: make(chan jetstream.Msg, 16), failed: make(chan error, 1), gone: make(chan struct{})}
	connected := conn.StatusChanged(nats.CONNECTED)
	defer conn.RemoveStatusListener(connected)
	running, err := consumer.Consume(d.message,
		jetstream.PullMaxBytes(max(pullBytes, 2*int(conn.MaxPayload()))),
		jetstream.PullExpiry(pullExpiry), jetstream.PullHeartbeat(heartbeat), jetstream.ConsumeErrHandler(d.failure))
	if err != nil {
		return fmt.Errorf("read subject %q of the stream %q: %w", r.subject, r.stream.name, err)
	}
	defer running.Stop()
	defer close(d.gone)
	return r.pump(ctx, d, connected)
}

func (r *reading) remove(consumer string) {
	ctx, cancel := context.WithTimeout(context.Background(), forget)
	defer cancel()
	if _, err := r.now(); err == nil {
		_ = r.js.DeleteConsumer(ctx, r.stream.name, consumer)
	}
}

// pump takes what arrives.
func (r *reading) pump(ctx context.Context, d *delivery, connected <-chan nats.Status) error {
	delivered := uint64(0)
	idle := time.NewTicker(idleCheck)
	defer idle.Stop()
	over, stop := r.deadline()
	defer stop()
	closed := r.closed()
	for quiet := false; ; {
		select {
		case msg := <-d.messages:
			quiet = false
			if err := r.accept(ctx, msg, &delivered); err != nil {
				return err
			}
		case err := <-d.failed:
			return fmt.Errorf("read subject %q of the stream %q: %w", r.subject, r.stream.name, err)
		case <-connected:
			return errReconnect
		case <-idle.C:
			if quiet {
				if err := r.checkEnd(ctx); err != nil {
					return err
				}
			}
			quiet = true
		case <-closed:
			closed = nil
			r.endAt(r.logger.snapshot())
			if err := r.checkEnd(ctx); err != nil {
				return err
			}
		case <-over:
			over = nil
			if err := r.endNow(ctx); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// closed returns a channel that is closed with the logger, if that ends the
// reading.
func (r *reading) closed() <-chan struct{} {
	if r.logger == nil || r.end > 0 {
		return nil
	}
	return r.logger.done
}

// deadline returns a channel that says that Until has passed, if that was to come
// when the reading began.
func (r *reading) deadline() (<-chan time.Time, func()) {
	if !r.timed || r.end > 0 {
		return nil, func() {}
	}
	timer := time.NewTimer(time.Until(r.cfg.Until) + lateness)
	return timer.C, func() { timer.Stop() }
}

// endNow makes what the log holds now the end.
func (r *reading) endNow(ctx context.Context) error {
	now, err := r.place(ctx)
	if err != nil {
		return err
	}
	r.endAt(now)
	return r.checkEnd(ctx)
}

// accept checks that msg is the consumer's next message, and takes it.
func (r *reading) accept(ctx context.Context, msg jetstream.Msg, delivered *uint64) error {
	info, err := msg.Metadata()
	if err != nil {
		return fmt.Errorf("read subject %q of the stream %q: %w", r.subject, r.stream.name, err)
	}
	if info.Sequence.Consumer != *delivered+1 {
		return errDelivery
	}
	*delivered++
	r.know(stored{seq: info.Sequence.Stream, time: info.Timestamp})
	if at := info.Sequence.Stream; at > r.read {
		if r.end > 0 && at > r.end {
			return r.checkLast(ctx)
		}
		if err := r.take(ctx, msg, at, info.Timestamp); err != nil {
			return err
		}
		r.read = max(r.read, at)
	}
	if r.end > 0 && r.read >= r.end {
		return errDone
	}
	return nil
}

// ahead is next, within the time that an answer may take.
func (r *reading) ahead(ctx context.Context, seq uint64) (stored, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	return r.next(ctx, seq)
}

// checkEnd returns errDone if nothing is left up to the end.
func (r *reading) checkEnd(ctx context.Context) error {
	if r.end == 0 {
		return nil
	}
	if r.read >= r.end {
		return errDone
	}
	left, err := r.ahead(ctx, r.read+1)
	switch {
	case errors.Is(err, errNoMessage), err == nil && left.seq > r.end:
		return r.checkLast(ctx)
	case errors.Is(err, errNoStream):
		return fmt.Errorf("%w: %w", logdriver.ErrGap, err)
	}
	return err
}

// checkLast returns errDone where the end has been removed, unless lines are missing that
// were to come before it.
func (r *reading) checkLast(ctx context.Context) error {
	if r.index > 0 && r.last > r.index {
		if err := r.missing(ctx, r.last-r.index); err != nil {
			return err
		}
	}
	return errDone
}
