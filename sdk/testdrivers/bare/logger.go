package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	pb "github.com/logplug/logplug/shared/proto/logplug/v1"
)

// logger is an open logger. Its worker stores what was received.
type logger struct {
	id     uint64
	log    *logFile
	stream string
	acks   *acks

	mu       sync.Mutex
	received uint64
	queue    []*pb.Batch
	working  bool
	closing  bool
	giveUp   chan struct{} // closed when there is no more time
	idle     chan struct{} // closed when the worker has ended
}

func newLogger(id uint64, log *logFile, stream string, acks *acks) *logger {
	idle := make(chan struct{})
	close(idle)
	return &logger{
		id: id, log: log, stream: stream, acks: acks, received: log.last[stream], idle: idle, giveUp: make(chan struct{}),
	}
}

// receive queues b, without what was received before.
func (l *logger) receive(b *pb.Batch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closing || len(b.GetEntries()) == 0 {
		return
	}
	if first := b.GetFirstSeq(); first <= l.received {
		known := min(l.received-first+1, uint64(len(b.Entries)))
		b = &pb.Batch{Logger: l.id, FirstSeq: first + known, Entries: b.Entries[known:]}
	}
	l.queue = append(l.queue, b) // also an empty one: it is to be acknowledged
	if n := len(b.Entries); n > 0 {
		l.received = b.FirstSeq + uint64(n) - 1
	}
	if !l.working {
		l.working, l.idle = true, make(chan struct{})
		go l.work()
	}
}

func (l *logger) work() {
	for pause := 10 * time.Millisecond; ; {
		l.mu.Lock()
		batches, seq := l.queue, l.received
		if len(batches) == 0 {
			l.working = false
			close(l.idle)
			l.mu.Unlock()
			return
		}
		l.queue = nil
		l.mu.Unlock()
		for err := l.log.append(l.stream, batches); err != nil; err = l.log.append(l.stream, batches) {
			l.acks.blocked(l.id, fmt.Sprintf("write %s: %v", l.log.path, err))
			select {
			case <-time.After(pause):
			case <-l.giveUp:
				close(l.idle)
				return
			}
			pause = min(2*pause, 5*time.Second)
		}
		pause = 10 * time.Millisecond
		l.acks.settled(l.id, seq)
	}
}

// close stores what was received and closes the log.
func (l *logger) close(ctx context.Context) error {
	l.mu.Lock()
	if l.closing {
		l.mu.Unlock()
		return unknownLogger(l.id)
	}
	l.closing = true
	idle := l.idle
	l.mu.Unlock()
	select {
	case <-idle:
	case <-ctx.Done():
		close(l.giveUp)
		<-idle
	}
	if err := l.log.close(); err != nil {
		return fmt.Errorf("close %s: %w", l.log.path, err)
	}
	return ctx.Err()
}
