package host

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/logplug/logplug/shared/wire"
)

// writeStream is the Write stream of a session: gRPC's, or one whose messages go
// through a socket beside it.
type writeStream interface {
	SendMsg(m any) error
	RecvMsg(m any) error
}

// openStream opens the Write stream, which a driver may leave waiting: it decides
// how many streams there may be.
func (s *session) openStream() error {
	limit := s.driver.host.cfg.Timeouts.Start
	late := time.AfterFunc(limit, func() {
		s.fail(fmt.Errorf("not possible within %v: %w", limit, context.DeadlineExceeded))
	})
	defer late.Stop()
	unlink := context.AfterFunc(s.driver.ctx, func() { s.fail(context.Cause(s.driver.ctx)) })
	defer unlink()
	ctx, conn := s.ctx, s.proc.WriteSocket()
	if conn != nil {
		ctx = wire.WithWriteSocket(ctx)
	}
	call, err := s.client.Write(ctx)
	switch {
	case err != nil && s.ctx.Err() != nil:
		return s.err()
	case err != nil:
		return wire.FromStatus(s.driver.name, err)
	case conn == nil:
		s.stream = call
	default:
		socket, err := wire.NewWriteSocket(conn)
		if err != nil {
			return err
		}
		socket.SendThrough(s.proc.WriteMemory())
		st := &socketStream{WriteSocket: socket, conn: conn, call: call, ended: make(chan struct{})}
		context.AfterFunc(s.ctx, func() { _ = conn.Close() })
		s.wg.Go(st.await)
		s.stream, s.sender.prompt = st, st
	}
	return nil
}

// socketStream is a stream whose messages go through a write socket. The call of Write
// lasts as long, and its status tells how it ended.
type socketStream struct {
	*wire.WriteSocket
	conn wire.SocketConn
	call writeStream

	ended chan struct{} // closed with the call
	err   error         // how it ended
}

// drainTime is how long answers are received after the end of the call. A driver that
// does what it should closes the socket, so that they end at once.
const drainTime = 5 * time.Second

var errBothWays = errors.New("it uses the write socket, and answered through gRPC")

// await waits for the end of the call. What the driver has sent before is received
// nevertheless.
func (st *socketStream) await() {
	defer close(st.ended)
	if st.err = st.call.RecvMsg(new(wire.WriteResponse)); st.err == nil {
		st.err = errBothWays
	}
	now := time.Now()
	_ = st.conn.SetReadDeadline(now.Add(drainTime))
	_ = st.conn.SetWriteDeadline(now)
}

// RecvMsg implements writeStream. Where the socket ends, its error is that of the call
// if there is one soon.
func (st *socketStream) RecvMsg(m any) error {
	err := st.WriteSocket.RecvMsg(m)
	if err == nil || errors.Is(err, wire.ErrMalformed) {
		return err
	}
	timer := time.NewTimer(exitGrace)
	defer timer.Stop()
	select {
	case <-st.ended:
		return st.err
	case <-timer.C:
		return fmt.Errorf("the driver has closed its write socket: %w", err)
	}
}
