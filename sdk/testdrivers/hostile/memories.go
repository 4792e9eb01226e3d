package main

import (
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"strconv"

	pb "github.com/logplug/logplug/shared/proto/logplug/v1"
	"github.com/logplug/logplug/shared/wire"
	"google.golang.org/grpc"
)

// memories misbehave with the write memory. All but memory-tickets, which answers nothing,
// acknowledge their messages nevertheless.
func memories() map[string]behaviour {
	// use has the driver call f for what it has received, before it answers.
	use := func(f func(memory int, req *wire.WriteRequest) *wire.WriteRequest) behaviour {
		return func(d *driver) {
			view, fd, err := inheritedMemory()
			if err != nil {
				fmt.Fprintln(os.Stderr, "the write memory:", err)
				os.Exit(1)
			}
			conn := inherit(wire.WriteMemoryGreeting)
			d.methods[pb.Driver_Write_FullMethodName] = func(s grpc.ServerStream) error {
				go answerShared(conn, view, func(req *wire.WriteRequest) *wire.WriteRequest { return f(fd, req) })
				return never(s)
			}
		}
	}
	free := func(req *wire.WriteRequest) *wire.WriteRequest {
		req.Free()
		return req
	}
	// freeAfter misbehaves before it frees.
	freeAfter := func(f func(memory int)) behaviour {
		return use(func(fd int, req *wire.WriteRequest) *wire.WriteRequest { f(fd); return free(req) })
	}
	return map[string]behaviour{
		"memory-honest":    freeAfter(func(int) {}),
		"memory-kept":      use(func(int, *wire.WriteRequest) *wire.WriteRequest { return new(wire.WriteRequest) }),
		"memory-scribbled": freeAfter(scribble),
		"memory-holes":     freeAfter(punch),
		"memory-resized":   freeAfter(resize),
		"memory-tickets": func(d *driver) {
			conn := inherit(wire.WriteMemoryGreeting)
			d.methods[pb.Driver_Write_FullMethodName] = func(s grpc.ServerStream) error {
				go giveBackAll(conn)
				return never(s)
			}
		},
	}
}

func inheritedMemory() (*wire.SharedView, int, error) {
	fd, err := strconv.Atoi(os.Getenv(wire.EnvWriteMemory))
	if err != nil {
		return nil, 0, err
	}
	view, err := wire.MapWriteMemory(fd)
	return view, fd, err
}

// answerShared acknowledges what comes through c and the memory. after is called for each
// request, and returns where the next one is received.
func answerShared(c net.Conn, view *wire.SharedView, after func(*wire.WriteRequest) *wire.WriteRequest) {
	socket, err := wire.NewWriteSocket(c.(*net.UnixConn))
	if err != nil {
		return
	}
	socket.ReceiveFrom(view)
	for req := new(wire.WriteRequest); socket.RecvMsg(req) == nil; {
		var resp wire.WriteResponse
		for b := range req.Batches() {
			resp.Acks = append(resp.Acks, wire.Ack{Logger: b.Logger, Seq: lastMessage(b).Seq})
		}
		req = after(req)
		if len(resp.Acks) > 0 && socket.SendMsg(&resp) != nil {
			return
		}
	}
}

// giveBackAll gives back every ticket there is, again and again.
func giveBackAll(c net.Conn) {
	for ticket := uint32(0); ; {
		var b []byte
		for range 4096 {
			b = binary.BigEndian.AppendUint32(b, ticket|1<<31)
			ticket++
		}
		if _, err := c.Write(b); err != nil {
			return
		}
	}
}
