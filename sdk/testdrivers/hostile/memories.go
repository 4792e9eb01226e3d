package main

import (
	"fmt"
	"net"
	"os"
	"strconv"

	"github.com/logplug/logplug/shared/wire"
	"google.golang.org/grpc"

	pb "github.com/logplug/logplug/shared/proto/logplug/v1"
)

// memories misbehave with the write memory, and answer all messages nevertheless.
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
	return map[string]behaviour{
		"memory-honest":    use(func(_ int, req *wire.WriteRequest) *wire.WriteRequest { return free(req) }),
		"memory-kept":      use(func(int, *wire.WriteRequest) *wire.WriteRequest { return new(wire.WriteRequest) }),
		"memory-scribbled": use(func(fd int, req *wire.WriteRequest) *wire.WriteRequest { scribble(fd); return free(req) }),
		"memory-holes":     use(func(fd int, req *wire.WriteRequest) *wire.WriteRequest { punch(fd); return free(req) }),
		"memory-resized":   use(func(fd int, req *wire.WriteRequest) *wire.WriteRequest { resize(fd); return free(req) }),
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
