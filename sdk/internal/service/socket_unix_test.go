//go:build unix

package service

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/logplug/logplug/shared/logdriver"
	"github.com/logplug/logplug/shared/wire"
	"golang.org/x/sys/unix"
)

// writeSocket opens a Write stream whose messages go through a socket, of which it returns the host's end.
func (p *peer) writeSocket() (*wire.WriteSocket, net.Conn) {
	p.t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		p.t.Fatal(err)
	}
	var ends [2]*net.UnixConn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "end")
		conn, err := net.FileConn(f)
		if err := errors.Join(err, f.Close()); err != nil {
			p.t.Fatal(err)
		}
		ends[i] = conn.(*net.UnixConn)
	}
	p.t.Cleanup(func() { _ = ends[0].Close() })
	p.svc.UseWriteSocket(ends[1], nil)
	ctx, cancel := context.WithCancel(context.Background())
	p.t.Cleanup(cancel)
	if _, err := p.client.Write(wire.WithWriteSocket(ctx)); err != nil {
		p.t.Fatal(err)
	}
	socket, err := wire.NewWriteSocket(ends[0])
	if err != nil {
		p.t.Fatal(err)
	}
	return socket, ends[0]
}

// requestOf returns a request with one message.
func requestOf(id, seq uint64) *wire.WriteRequest {
	req := new(wire.WriteRequest)
	req.AppendBatch(id, seq, wire.AppendEntry(nil, &logdriver.Message{Line: []byte("a line")}))
	return req
}

// receiveAcks receives responses until the message seq is acknowledged, each of them no earlier than the
// one before.
func receiveAcks(t *testing.T, socket *wire.WriteSocket, seq uint64) {
	t.Helper()
	var resp wire.WriteResponse
	for acked := uint64(0); acked < seq; {
		if err := socket.RecvMsg(&resp); err != nil {
			t.Fatalf("acknowledged up to %d: %v", acked, err)
		}
		for _, a := range resp.Acks {
			if a.Seq < acked {
				t.Fatalf("acknowledged %d after %d", a.Seq, acked)
			}
			acked = a.Seq
		}
	}
}

// TestHostThatDoesNotRead: messages are received and stored although nobody takes the
// acknowledgements, also by those who could send them; what they leave is sent later.
func TestHostThatDoesNotRead(t *testing.T) {
	var stored atomic.Uint64
	s := &sink{onBatch: func(_ context.Context, msgs []*logdriver.Message) error {
		stored.Store(msgs[len(msgs)-1].Seq)
		return nil
	}}
	p := serve(t, Config{Driver: driverOf(s)})
	socket, _ := p.writeSocket()
	id := p.open(logdriver.Info{}).Logger
	p.svc.acks.mu.Lock()
	p.svc.acks.pause = 0 // a response for each batch
	p.svc.acks.mu.Unlock()
	const n = 10_000
	for seq := uint64(1); seq <= n; seq++ {
		if err := socket.SendMsg(requestOf(id, seq)); err != nil {
			t.Fatal(err)
		}
		for ctx := p.ctx(); stored.Load() < seq; runtime.Gosched() {
			if ctx.Err() != nil {
				t.Fatalf("message %d is not stored", seq)
			}
		}
	}
	receiveAcks(t, socket, n)
}

// TestRequestsAtHandAreStoredTogether: what comes at once is one batch for quick code, too.
func TestRequestsAtHandAreStoredTogether(t *testing.T) {
	var batches, messages atomic.Int64
	s := &sink{onBatch: func(_ context.Context, msgs []*logdriver.Message) error {
		batches.Add(1)
		messages.Add(int64(len(msgs)))
		return nil
	}}
	p := serve(t, Config{Driver: driverOf(s)})
	socket, conn := p.writeSocket()
	id := p.open(logdriver.Info{}).Logger
	next := uint64(1)
	for ; next <= 3*briskPace; next++ { // until the code is known to be quick
		if err := errors.Join(socket.SendMsg(requestOf(id, next)), socket.SendMsg(new(wire.WriteRequest))); err != nil {
			t.Fatal(err)
		}
		receiveAcks(t, socket, next)
	}
	batches.Store(0)
	messages.Store(0)
	const n = 50
	var together []byte
	codec := wire.NewCodec()
	for i := range uint64(n) {
		data, err := codec.Marshal(requestOf(id, next+i))
		if err != nil {
			t.Fatal(err)
		}
		together = binary.BigEndian.AppendUint32(together, uint32(data.Len()))
		together = append(together, data.Materialize()...)
	}
	together = append(together, 0, 0, 0, 0) // asks for acknowledgements
	if _, err := conn.Write(together); err != nil {
		t.Fatal(err)
	}
	receiveAcks(t, socket, next+n-1)
	if messages.Load() != n || batches.Load() > n/2 {
		t.Errorf("%d messages were stored in %d batches", messages.Load(), batches.Load())
	}
}
