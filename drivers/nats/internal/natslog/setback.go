package natslog

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/logplug/logplug/sdk/remote"
	"github.com/logplug/logplug/shared/logdriver"
)

// know notes the latest message that the reading has heard of.
func (r *reading) know(m stored) {
	if m.seq >= r.known.seq {
		r.known = m
	}
}

// checkSetBack returns ErrGap if the stream lost messages at its end, as a server does that
// forgets what was not synced, or was made anew. New lines take their places, where
// nobody looks for any that has been there before.
func (r *reading) checkSetBack(ctx context.Context) error {
	if r.known.seq == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	m, err := r.ask(ctx, map[string]any{"seq": r.known.seq})
	switch {
	case errors.Is(err, errNoMessage):
		return r.checkRemoved(ctx)
	case err != nil:
		return err
	case m.subject != r.subject || !r.known.time.IsZero() && !m.time.Equal(r.known.time):
		return r.setBack("another message")
	}
	return nil
}

// checkRemoved is checkSetBack where the known message is not there: a limit may have
// removed it.
func (r *reading) checkRemoved(ctx context.Context) error {
	_, err := r.ask(ctx, map[string]any{"seq": r.known.seq, "next_by_subj": ">"})
	if !errors.Is(err, errNoMessage) {
		return err
	}
	// Of the servers of a cluster, one that lags behind may answer.
	for range looks {
		last, err := r.lastOfStream(ctx)
		if err != nil || last >= r.known.seq {
			return err
		}
		if err := remote.Sleep(ctx, retryMin); err != nil {
			return err
		}
	}
	return r.setBack("none")
}

func (r *reading) setBack(there string) error {
	return fmt.Errorf("%w: the stream %q was set back or made anew: it has %s in the place of its message %d",
		logdriver.ErrGap, r.stream.name, there, r.known.seq)
}

// lastOfStream returns the highest number that a message of the stream has had, which
// readers may not be allowed to ask for: a consumer of new messages begins behind it.
func (r *reading) lastOfStream(ctx context.Context) (uint64, error) {
	consumer, err := r.js.CreateConsumer(ctx, r.stream.name, jetstream.ConsumerConfig{
		FilterSubject: r.subject, DeliverPolicy: jetstream.DeliverNewPolicy,
		AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1, InactiveThreshold: inactive,
	})
	if err != nil {
		return 0, fmt.Errorf("find the end of the stream %q: %w", r.stream.name, err)
	}
	info := consumer.CachedInfo()
	r.remove(info.Name)
	return info.Delivered.Stream, nil
}
