package service

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
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

// promptStream is a stream that can be used without waiting, as wire.WriteSocket can.
type promptStream interface {
	SendNow(any) error
	Unfinished() bool
	Finish() error
	AtHand() bool
}

// writeStream is one call of Write.
type writeStream struct {
	svc *Service
	stream

	eof   chan struct{}        // closed when the host sends nothing more
	ended chan struct{}        // closed when the stream is over or was replaced
	acked chan struct{}        // closed when nothing more is sent
	flush chan chan<- struct{} // asks for what is due to be sent before the answer

	receiver *receiver
	prompt   promptStream // the stream, if it is one
	sending  sync.Mutex   // held by whoever sends acknowledgements
	view     *wire.SharedView

	endOnce sync.Once
	loggers []*logger // the sender's, reused
	resp    wire.WriteResponse
}

// Write implements pb.DriverServer. One stream carries the messages of all
// loggers; a second one takes the place of the first. What was received stays
// received when a stream ends, and is stored and acknowledged on the next one.
func (s *Service) Write(st grpc.BidiStreamingServer[pb.WriteRequest, pb.WriteResponse]) error {
	if !wire.UsesWriteSocket(st.Context()) {
		return s.write(st, nil)
	}
	conn, view := s.takeWriteSocket()
	if conn == nil {
		return s.status(&rpcError{codes.FailedPrecondition, "there is no write socket, or an earlier stream has used it"})
	}
	// Closed here, the host has all answers before it learns how the stream ended.
	defer conn.Close()
	defer context.AfterFunc(st.Context(), func() { _ = conn.Close() })()
	socket, err := wire.NewWriteSocket(conn)
	if err != nil {
		return s.status(err)
	}
	socket.ReceiveFrom(view)
	return s.write(socketStream{socket, st.Context()}, view)
}

// socketStream is a stream whose messages go through a write socket.
type socketStream struct {
	*wire.WriteSocket
	ctx context.Context
}

// Context implements stream.
func (s socketStream) Context() context.Context { return s.ctx }

// UseWriteSocket makes conn, which is the service's from now on, the socket of the
// stream for which the host wants one. view is where messages may be that come through
// it, or nil.
func (s *Service) UseWriteSocket(conn *net.UnixConn, view *wire.SharedView) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.socket, s.view = conn, view
	view.OnOwed(s.acks.poke)
}

func (s *Service) takeWriteSocket() (*net.UnixConn, *wire.SharedView) {
	s.mu.Lock()
	defer s.mu.Unlock()
	conn := s.socket
	s.socket = nil
	return conn, s.view
}

// write serves a stream, with view, or nil, where messages may be that come through it.
func (s *Service) write(st stream, view *wire.SharedView) error {
	ws := s.attach(st, view)
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

func (s *Service) attach(st stream, view *wire.SharedView) *writeStream {
	ws := &writeStream{
		svc: s, stream: st, view: view,
		eof: make(chan struct{}), ended: make(chan struct{}), acked: make(chan struct{}), flush: make(chan chan<- struct{}),
	}
	ws.receiver = newReceiver(ws)
	ws.prompt, _ = st.(promptStream)
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
			l.markLocked(0, true)
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
// the stream, if there is one, so that the host gets them although the process may end
// after the answer.
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

func codeOf(err error) codes.Code {
	if errors.Is(err, errWindow) {
		return codes.ResourceExhausted
	}
	return codes.InvalidArgument
}

var errWindow = errors.New("window exceeded")

// receive queues one batch. It returns its logger if the caller is to run the worker.
func (s *Service) receive(in *lending, b wire.Batch) (*logger, error) {
	if b.Count == 0 {
		return nil, nil
	}
	if b.FirstSeq > math.MaxUint64-uint64(b.Count) {
		return nil, fmt.Errorf("%w: logger %d: sequence %d with %d entries overflows", wire.ErrMalformed, b.Logger, b.FirstSeq, b.Count)
	}
	s.mu.Lock()
	l := s.loggers[b.Logger]
	s.mu.Unlock()
	if l == nil {
		// Batches may be on their way while their logger is being closed. An
		// acknowledgement would claim something, so there is nothing to say.
		s.log.Debug("ignored messages for a logger that is not open", "logger", b.Logger, "messages", b.Count)
		return nil, nil
	}
	run, err := l.receive(in, b)
	if !run {
		return nil, err
	}
	return l, nil
}

// receive queues b. It returns true if the caller is to run the worker.
func (l *logger) receive(in *lending, b wire.Batch) (run bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closing {
		return false, nil
	}
	if b.FirstSeq <= l.received {
		// Sent again by a host that missed the acknowledgement.
		b.Skip(int(min(uint64(b.Count), l.received-b.FirstSeq+1)))
		l.markLocked(0, true)
		if b.Count == 0 {
			return false, nil
		}
	}
	if l.bytes+b.Size > l.svc.window && (l.bytes > 0 || b.Count > 1) {
		return false, fmt.Errorf("%w: logger %d: %d bytes are unacknowledged and %d more arrived, the window is %d",
			errWindow, l.id, l.bytes, b.Size, l.svc.window)
	}
	prompt := l.blocked == ""
	l.received = b.FirstSeq + uint64(b.Count) - 1
	l.bytes += b.Size
	l.queue = append(l.queue, in.keep(b, prompt))
	l.light = l.bytes <= lightBytes
	return l.beginLocked(), nil
}

// sendDirty sends the acknowledgements that are due.
func (ws *writeStream) sendDirty() error {
	// Workers that are about to finish may join in.
	runtime.Gosched()
	ws.sending.Lock()
	defer ws.sending.Unlock()
	return ws.sendListed()
}

// answer sends acknowledgements that are due, or leaves that to others.
func (s *Service) answer() {
	s.mu.Lock()
	ws := s.stream
	s.mu.Unlock()
	if ws != nil {
		ws.sendHere()
	}
}

// sendHere sends acknowledgements that are due without waiting, and what cannot be sent so is
// left to the goroutine that is for that.
func (ws *writeStream) sendHere() {
	if ws.prompt == nil || !ws.sending.TryLock() {
		ws.svc.acks.poke()
		return
	}
	defer ws.sending.Unlock()
	if ws.replaced() || ws.prompt.Unfinished() {
		ws.svc.acks.poke()
		return
	}
	ws.loggers = ws.svc.acks.take(ws.loggers[:0])
	if err := ws.sendAcksOf(ws.loggers, ws.prompt.SendNow); err != nil || ws.prompt.Unfinished() {
		ws.svc.acks.poke()
	}
}

// sendListed sends the acknowledgements that are due. It is called with ws.sending.
func (ws *writeStream) sendListed() error {
	if ws.replaced() {
		ws.svc.acks.poke() // they are the next stream's
		return errStreamEnded
	}
	if ws.prompt != nil {
		if err := ws.prompt.Finish(); err != nil {
			return err
		}
	}
	for {
		ws.loggers = ws.svc.acks.take(ws.loggers[:0])
		if len(ws.loggers) == 0 {
			return ws.giveBack()
		}
		if err := ws.sendAcksOf(ws.loggers, ws.SendMsg); err != nil {
			return err
		}
	}
}

// giveBack gives memory back to the host that it may need before there is something to
// acknowledge.
func (ws *writeStream) giveBack() error {
	if !ws.view.Owes() {
		return nil
	}
	ws.resp.Acks = ws.resp.Acks[:0]
	return ws.SendMsg(&ws.resp)
}

// sendAcksOf sends the acknowledgements of the given loggers, of which there may be none.
func (ws *writeStream) sendAcksOf(loggers []*logger, send func(any) error) error {
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
		if err := send(&ws.resp); err != nil {
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
		ws.svc.acks.add(l, true, 0, true) // it is still marked
	}
	if len(others) > 0 {
		ws.svc.acks.poke()
	}
}
