package remote

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

const (
	// chunkBytes is how much is encrypted, or copied, at once.
	chunkBytes = 64 << 10
	// finishTimeout bounds writing what ends a connection.
	finishTimeout = 5 * time.Second
	// causeTimeout bounds the wait for the reason of an end.
	causeTimeout = 100 * time.Millisecond
	// maxUnflushed bounds what waits for the socket: a chunk at a time is written,
	// and the rest is left to what TLS answers by itself.
	maxUnflushed = 4 * chunkBytes
)

// streamLink is a connection of TCP, TLS or a unix stream socket. What is to be
// written waits in out, so that a write may stop anywhere and go on later: the
// TLS package cannot do that by itself.
type streamLink struct {
	sock  net.Conn
	tls   *tls.Conn // nil without TLS
	exact bool      // the size of the system's queue counts bytes

	out    sendBuffer
	points []point

	done  chan struct{} // closed when the reader has ended
	err   error         // why, set before
	endAt time.Time
}

// point says that the connection's bytes up to raw carry the box's up to pos.
type point struct{ raw, pos int64 }

// sendBuffer holds bytes for the socket. The TLS package writes to it from the
// reading side too, whenever the peer asks for new keys, so that it has a bound.
type sendBuffer struct {
	mu    sync.Mutex
	data  []byte
	taken int64 // bytes that the socket took
}

// errUnflushed tells that a peer makes TLS write more than is taken from it.
var errUnflushed = errors.New("the receiver asks for too many new keys of TLS; look at its software")

func (b *sendBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.data) > maxUnflushed {
		return 0, errUnflushed
	}
	b.data = append(b.data, p...)
	return len(p), nil
}

// release gives the memory back that is not in use.
func (b *sendBuffer) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.data) == 0 {
		b.data = nil
	}
}

// queued returns the number of bytes that were ever written to the buffer.
func (b *sendBuffer) queued() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.taken + int64(len(b.data))
}

// flush writes to the socket what there is, until a deadline that the socket has.
func (b *sendBuffer) flush(sock net.Conn) error {
	for {
		b.mu.Lock()
		data := b.data
		b.mu.Unlock()
		if len(data) == 0 {
			return nil
		}
		// What is appended meanwhile does not touch data.
		n, err := sock.Write(data)
		b.mu.Lock()
		b.taken += int64(n)
		b.data = b.data[n:]
		if len(b.data) == 0 {
			b.data = data[:0]
		}
		b.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

// meter is what TLS writes to: the socket during the handshake, then a buffer.
type meter struct {
	net.Conn
	out *sendBuffer
}

func (m *meter) buffer(out *sendBuffer) { m.out = out }

func (m *meter) Write(p []byte) (int, error) {
	if m.out == nil {
		return m.Conn.Write(p)
	}
	return m.out.Write(p)
}

// SetWriteDeadline is for the socket alone.
func (m *meter) SetWriteDeadline(t time.Time) error {
	if m.out == nil {
		return m.Conn.SetWriteDeadline(t)
	}
	return nil
}

// start runs the goroutine that notices the end of the connection: it reads what
// a receiver of logs does not send. close waits for it.
func (l *streamLink) start(conn net.Conn, encrypted bool) {
	if encrypted {
		l.tls = conn.(*tls.Conn)
	}
	go func() {
		_, err := io.CopyBuffer(onlyWriter{io.Discard}, onlyReader{conn}, make([]byte, 512))
		if err == nil {
			err = io.EOF
		}
		l.err, l.endAt = err, time.Now()
		close(l.done)
	}()
}

// These hide the methods that make io.CopyBuffer take buffers of its own.
type (
	onlyReader struct{ io.Reader }
	onlyWriter struct{ io.Writer }
)

func (l *streamLink) write(b *outbox, deadline time.Time) error {
	if err := l.sock.SetWriteDeadline(deadline); err != nil {
		return err
	}
	for {
		err := l.out.flush(l.sock)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		rest := b.unwritten()
		if err != nil || len(rest) == 0 {
			return err
		}
		rest = rest[:min(len(rest), chunkBytes)]
		if _, err := l.writer().Write(rest); err != nil {
			return err
		}
		b.written += int64(len(rest))
		l.points = append(l.points, point{l.out.queued(), b.written})
	}
}

func (l *streamLink) writer() io.Writer {
	if l.tls != nil {
		return l.tls
	}
	return &l.out
}

func (l *streamLink) confirmed(b *outbox) (int64, error) {
	waiting, err := Unsent(l.sock)
	if err == nil {
		// In this order: what is not waiting any more may have been thrown away
		// when the connection ended.
		err = l.alive()
	}
	if err != nil {
		return 0, err
	}
	l.out.mu.Lock()
	reached := l.out.taken
	l.out.mu.Unlock()
	switch {
	case l.exact:
		reached -= int64(waiting)
	case waiting > 0:
		return b.base, nil
	}
	n := 0
	for n < len(l.points) && l.points[n].raw <= reached {
		n++
	}
	if n == 0 {
		return b.base, nil
	}
	pos := l.points[n-1].pos
	l.points = append(l.points[:0], l.points[n-1:]...)
	return pos, nil
}

// alive returns why the connection is no more.
func (l *streamLink) alive() error {
	select {
	case <-l.done:
		_, err := l.cause()
		return err
	default:
	}
	err := hungUp(l.sock)
	if err == nil {
		return nil
	}
	// The reader is about to know more, such as what TLS was told of the reason.
	timer := time.NewTimer(causeTimeout)
	defer timer.Stop()
	select {
	case <-l.done:
		_, err = l.cause()
	case <-timer.C:
	}
	return err
}

func (l *streamLink) silent() bool { return unanswered(l.sock) }

func (l *streamLink) ended() <-chan struct{} { return l.done }

func (l *streamLink) cause() (time.Time, error) {
	if isEnd(l.err) {
		return l.endAt, errClosedByPeer
	}
	return l.endAt, fmt.Errorf("the connection broke: %w", shortened(l.err))
}

// errClosedByPeer tells that a connection ended in order.
var errClosedByPeer = errors.New("the receiver has closed the connection")

// isEnd tells whether reading ended in order. That TLS was not told of the end is
// usual; TCP would report a receiver that left something unread.
func isEnd(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

func (l *streamLink) finish(ctx context.Context) error {
	_ = l.sock.SetWriteDeadline(time.Now().Add(finishTimeout))
	if l.tls != nil {
		if err := errors.Join(l.tls.CloseWrite(), l.out.flush(l.sock)); err != nil {
			return err
		}
	}
	half, ok := l.sock.(interface{ CloseWrite() error })
	if !ok {
		return nil
	}
	if err := half.CloseWrite(); err != nil {
		return err
	}
	select {
	case <-l.done:
		if isEnd(l.err) {
			return nil
		}
		_, err := l.cause()
		return err
	case <-ctx.Done():
		return errUnfinished
	}
}

// errUnfinished tells that the peer did not end a connection that was finished.
var errUnfinished = errors.New("the receiver has not closed the connection")

func (l *streamLink) release() { l.out.release() }

func (l *streamLink) close() {
	_ = l.sock.Close()
	<-l.done
}
