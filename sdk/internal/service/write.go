package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"sync"

	pb "github.com/logplug/logplug/shared/proto/logplug/v1"
	"github.com/logplug/logplug/shared/wire"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
)

var errStreamEnded = errors.New("write stream has ended")

// stream is what writeStream needs of a gRPC stream.
type stream interface {
	Context() context.Context
	SendMsg(any) error
	RecvMsg(any) error
}

// writeStream is one call of Write.
type writeStream struct {
	svc *Service
	stream

	eof   chan struct{}        // closed when the host sends nothing more
	ended chan struct{}        // closed when the stream is over or was replaced
	acked chan struct{}        // closed when nothing more is sent
	flush chan chan<- struct{} // asks for what is due to be sent before the answer

	endOnce sync.Once
	loggers []*logger // the sender's, reused
	resp    wire.WriteResponse
}

// Write implements pb.DriverServer. One stream carries the messages of all
// loggers; a second one takes the place of the first. What was received stays
// received when a stream ends, and is stored and acknowledged on the next one.
func (s *Service) Write(st grpc.BidiStreamingServer[pb.WriteRequest, pb.WriteResponse]) error {
	return s.write(st)
}

func (s *Service) write(st stream) error {
	ws := s.attach(st)
	s.tasks.Go(ws.sendAcks)
	err := ws.receive()
	if err == nil {
		close(ws.eof)
		select {
		case <-ws.acked:
		case <-st.Context().Done():
		}
	}
	// The sender is not waited for: it may be inside of a Send that only ends
	// when this function has returned.
	s.detach(ws)
	return s.status(err)
}

func (s *Service) attach(st stream) *writeStream {
	ws := &writeStream{
		svc: s, stream: st,
		eof: make(chan struct{}), ended: make(chan struct{}), acked: make(chan struct{}), flush: make(chan chan<- struct{}),
	}
	s.mu.Lock()
	old := s.stream
	s.stream = ws
	s.mu.Unlock()
	if old != nil {
		old.end()
	}
	// What the host missed on an earlier stream is said again.
	for _, l := range s.all() {
		l.mu.Lock()
		if l.settled > 0 || l.blocked != "" {
			l.markLocked()
		}
		l.mu.Unlock()
	}
	return ws
}

func (s *Service) detach(ws *writeStream) {
	ws.end()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stream == ws {
		s.stream = nil
	}
}

// flushAcks returns when the acknowledgements that are due have been handed to
// the stream, if there is one, so that the host gets them before an answer that
// is given afterwards.
func (s *Service) flushAcks(ctx context.Context) {
	s.mu.Lock()
	ws := s.stream
	s.mu.Unlock()
	if ws == nil {
		return
	}
	sent := make(chan struct{})
	select {
	case ws.flush <- sent:
	case <-ws.acked:
		return
	case <-ctx.Done():
		return
	}
	select {
	case <-sent:
	case <-ws.acked:
	case <-ctx.Done():
	}
}

func (ws *writeStream) end() { ws.endOnce.Do(func() { close(ws.ended) }) }

func (ws *writeStream) replaced() bool {
	select {
	case <-ws.ended:
		return true
	default:
		return false
	}
}

// receive queues what arrives, until the host sends nothing more.
func (ws *writeStream) receive() error {
	var req wire.WriteRequest
	defer req.Free()
	for {
		switch err := ws.RecvMsg(&req); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return streamError(err)
		case ws.replaced():
			return &rpcError{codes.Aborted, "another Write stream has taken the place of this one"}
		}
		for b, err := range req.Batches() {
			if err == nil {
				err = ws.svc.receive(&req, b)
			}
			if err != nil {
				return &rpcError{codeOf(err), err.Error()}
			}
		}
	}
}

func codeOf(err error) codes.Code {
	if errors.Is(err, errWindow) {
		return codes.ResourceExhausted
	}
	return codes.InvalidArgument
}

var errWindow = errors.New("window exceeded")

// receive queues one batch.
func (s *Service) receive(req *wire.WriteRequest, b wire.Batch) error {
	if b.Count == 0 {
		return nil
	}
	if b.FirstSeq > math.MaxUint64-uint64(b.Count) {
		return fmt.Errorf("%w: logger %d: sequence %d with %d entries overflows", wire.ErrMalformed, b.Logger, b.FirstSeq, b.Count)
	}
	s.mu.Lock()
	l := s.loggers[b.Logger]
	s.mu.Unlock()
	if l == nil {
		// Batches may be on their way while their logger is being closed. An
		// acknowledgement would claim something, so there is nothing to say.
		s.log.Debug("ignored messages for a logger that is not open", "logger", b.Logger, "messages", b.Count)
		return nil
	}
	return l.receive(req, b)
}

// receive queues b and sees to it that a worker runs.
func (l *logger) receive(req *wire.WriteRequest, b wire.Batch) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closing {
		return nil
	}
	if b.FirstSeq <= l.received {
		// Sent again by a host that missed the acknowledgement.
		b.Skip(int(min(uint64(b.Count), l.received-b.FirstSeq+1)))
		l.markLocked()
		if b.Count == 0 {
			return nil
		}
	}
	if l.bytes+b.Size > l.svc.window && (l.bytes > 0 || b.Count > 1) {
		return fmt.Errorf("%w: logger %d: %d bytes are unacknowledged and %d more arrived, the window is %d",
			errWindow, l.id, l.bytes, b.Size, l.svc.window)
	}
	prompt := l.blocked == ""
	l.received = b.FirstSeq + uint64(b.Count) - 1
	l.bytes += b.Size
	l.queue = append(l.queue, l.svc.buffers.keep(req, b, prompt))
	l.startLocked()
	return nil
}

// sendDirty sends the acknowledgements that are due.
func (ws *writeStream) sendDirty() error {
	// Workers that are about to finish may join in.
	runtime.Gosched()
	for {
		ws.loggers = ws.svc.acks.take(ws.loggers[:0])
		if len(ws.loggers) == 0 {
			return nil
		}
		if err := ws.sendAcksOf(ws.loggers); err != nil {
			return err
		}
	}
}

func (ws *writeStream) sendAcksOf(loggers []*logger) error {
	defer clear(loggers)
	first, size := 0, 0
	ws.resp.Acks = ws.resp.Acks[:0]
	for i, l := range loggers {
		a, n := l.ack()
		ws.resp.Acks = append(ws.resp.Acks, a)
		size += n
		if size < maxAckBytes && i < len(loggers)-1 {
			continue
		}
		if err := ws.SendMsg(&ws.resp); err != nil {
			ws.takeBack(loggers[first:i+1], loggers[i+1:])
			return err
		}
		for j := range ws.resp.Acks {
			loggers[first+j].sent(&ws.resp.Acks[j])
		}
		first, size = i+1, 0
		ws.resp.Acks = ws.resp.Acks[:0]
	}
	return nil
}

// takeBack keeps what could not be sent for the next stream: the acknowledgements of
// the others were not made.
func (ws *writeStream) takeBack(failed, others []*logger) {
	for _, l := range failed {
		l.unsent()
	}
	for _, l := range others {
		ws.svc.acks.add(l) // it is still marked
	}
}
