package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"strconv"

	"github.com/logplug/logplug/shared/logdriver"
	pb "github.com/logplug/logplug/shared/proto/logplug/v1"
	"github.com/logplug/logplug/shared/wire"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// sockets misbehave with the write socket.
func sockets() map[string]behaviour {
	// use has f talk to the host through the socket while call serves Write.
	use := func(f func(net.Conn), call handler) behaviour {
		return func(d *driver) {
			conn := inherit(wire.WriteSocketGreeting)
			d.methods[pb.Driver_Write_FullMethodName] = func(s grpc.ServerStream) error {
				go f(conn)
				return call(s)
			}
		}
	}
	send := func(b func() []byte) behaviour {
		return use(func(c net.Conn) { _, _ = c.Write(b()) }, never)
	}
	text := func(s string) func() []byte { return func() []byte { return []byte(s) } }
	framed := func(b []byte) []byte { return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...) }
	answer := func(seq func(last uint64) uint64) behaviour {
		return use(func(c net.Conn) { answerThrough(c, seq, nil) }, never)
	}
	return map[string]behaviour{
		"socket-honest":     answer(func(last uint64) uint64 { return last }),
		"socket-future":     answer(func(last uint64) uint64 { return last + 1000 }),
		"socket-highest":    answer(func(uint64) uint64 { return math.MaxUint64 }),
		"socket-late":       use(func(c net.Conn) { answerThrough(c, func(last uint64) uint64 { return last }, lateLine) }, never),
		"socket-asked":      use(answerWhenAsked, never),
		"socket-greeting":   func(*driver) { inherit("LPWRITE9") },
		"socket-ungreeted":  func(*driver) { inherit("") },
		"socket-unread":     use(func(net.Conn) {}, never),
		"socket-closes":     use(func(c net.Conn) { _ = c.Close() }, never),
		"socket-ends":       use(func(net.Conn) {}, func(grpc.ServerStream) error { return nil }),
		"socket-fails":      use(func(net.Conn) {}, func(grpc.ServerStream) error { return status.Error(codes.ResourceExhausted, "no more streams") }),
		"socket-garbage":    send(text("\x00\x00\x00\x0a\x0a\x05\x08\xff\xff\xff\xff\xff\xff\xff")),
		"socket-length":     send(text("\xff\xff\xff\xffabc")),
		"socket-shared":     send(text("\x80\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00\x01")),
		"socket-cut":        send(text("\x00\x7f\xff\xffabc")),
		"socket-acks":       send(func() []byte { return framed(bytes.Repeat([]byte("\x0a\x00"), 4<<20-100)) }),
		"socket-empty":      use(func(c net.Conn) { _, _ = io.Copy(c, endless{}) }, never),
		"socket-both-sides": use(func(net.Conn) {}, func(s grpc.ServerStream) error { _ = s.SendMsg(ack(1, 1)); return never(s) }),
	}
}

// inherit returns the write socket, through which it has sent greeting.
func inherit(greeting string) net.Conn {
	conn, err := inherited()
	if err == nil {
		_, err = io.WriteString(conn, greeting)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "the write socket:", err)
		os.Exit(1)
	}
	return conn
}

func inherited() (net.Conn, error) {
	fd, err := strconv.Atoi(os.Getenv(wire.EnvWriteSocket))
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "write socket")
	conn, err := net.FileConn(f) // a duplicate
	return conn, errors.Join(err, f.Close())
}

// answerThrough answers every batch whose last line begins with line, with what seq makes of
// its last message.
func answerThrough(c net.Conn, seq func(last uint64) uint64, line []byte) {
	socket, err := wire.NewWriteSocket(c.(*net.UnixConn))
	for err == nil {
		var req wire.WriteRequest
		if err = socket.RecvMsg(&req); err != nil {
			break
		}
		var resp wire.WriteResponse
		for b := range req.Batches() {
			if m := lastMessage(b); bytes.HasPrefix(m.Line, line) {
				resp.Acks = append(resp.Acks, wire.Ack{Logger: b.Logger, Seq: seq(m.Seq)})
			}
		}
		if len(resp.Acks) > 0 {
			err = socket.SendMsg(&resp)
		}
	}
}

// answerWhenAsked acknowledges everything when the host asks for it, and nothing before.
func answerWhenAsked(c net.Conn) {
	unacked := map[uint64]uint64{}
	socket, err := wire.NewWriteSocket(c.(*net.UnixConn))
	for err == nil {
		var req wire.WriteRequest
		if err = socket.RecvMsg(&req); err != nil {
			break
		}
		for b := range req.Batches() {
			unacked[b.Logger] = lastMessage(b).Seq
		}
		if req.Received() > 0 {
			continue
		}
		var resp wire.WriteResponse
		for logger, seq := range unacked {
			resp.Acks = append(resp.Acks, wire.Ack{Logger: logger, Seq: seq})
		}
		clear(unacked)
		err = socket.SendMsg(&resp)
	}
}

// lastMessage returns the last message of a batch.
func lastMessage(b wire.Batch) *logdriver.Message {
	var dec wire.Decoder
	for m := (&logdriver.Message{}); ; m = new(logdriver.Message) {
		if ok, err := b.Next(&dec, m); !ok || err != nil || b.Count == 0 {
			return m
		}
	}
}

// endless is a source of zeros: empty messages without end.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
