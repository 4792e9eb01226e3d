// Package baregrpc is gRPC between two processes with nothing else: no loggers, no
// spool, no acknowledgements, no files. What it takes, whoever uses gRPC takes.
package baregrpc

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/logplug/logplug/host/bench/internal/latency"
	"github.com/logplug/logplug/shared/wire"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
)

const (
	service     = "bench.Bare"
	linesMethod = "/" + service + "/Lines"
	tailMethod  = "/" + service + "/Tail"
	countBytes  = 8
	socketName  = "bare.sock"
	// maxMessageBytes is above the longest line.
	maxMessageBytes = 4 << 20
)

// codec passes bytes on.
type codec struct{}

func (codec) Name() string { return "bytes" }

// Marshal copies, as gRPC writes after SendMsg has returned.
func (codec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.Copy(*v.(*[]byte), wire.Buffers())}, nil
}

func (codec) Unmarshal(data mem.BufferSlice, v any) error {
	b := v.(*[]byte)
	if n := data.Len(); cap(*b) < n {
		*b = make([]byte, n)
	} else {
		*b = (*b)[:n]
	}
	data.CopyTo(*b)
	return nil
}

// Peer is the other process, and the connection to it.
type Peer struct {
	cmd  *exec.Cmd
	conn *grpc.ClientConn

	mu    sync.Mutex
	lines grpc.ClientStream
}

// Start starts a process which must call Serve with the path that command is given.
func Start(ctx context.Context, dir string, command func(socket string) *exec.Cmd) (*Peer, error) {
	path := filepath.Join(dir, socketName)
	cmd := command(path)
	cmd.Stderr = os.Stderr
	ready, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the other process: %w", err)
	}
	p := &Peer{cmd: cmd}
	if _, err := ready.Read(make([]byte, 1)); err != nil {
		p.abandon()
		return nil, fmt.Errorf("the other process is not ready: %w", err)
	}
	opts := append(wire.DialOptions(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(codec{}), grpc.MaxCallSendMsgSize(maxMessageBytes)))
	if p.conn, err = grpc.NewClient("unix:"+path, opts...); err != nil {
		p.abandon()
		return nil, err
	}
	desc := grpc.StreamDesc{ClientStreams: true, ServerStreams: true}
	if p.lines, err = p.conn.NewStream(ctx, &desc, linesMethod); err != nil {
		p.abandon()
		return nil, errors.Join(err, p.conn.Close())
	}
	return p, nil
}

// Pid returns the process.
func (p *Peer) Pid() int { return p.cmd.Process.Pid }

// Send sends one line, as a message of the stream that all loggers share.
func (p *Peer) Send(line []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lines.SendMsg(&line)
}

// Wait returns when so many lines have arrived.
func (p *Peer) Wait(total int) error {
	if err := p.Send(nil); err != nil {
		return err
	}
	var count []byte
	if err := p.lines.RecvMsg(&count); err != nil {
		return err
	}
	if len(count) != countBytes || binary.BigEndian.Uint64(count) != uint64(total) {
		return fmt.Errorf("%x lines have arrived, expected %x", count, total)
	}
	return nil
}

// Tail is a call that is answered with n bytes at once.
func (p *Peer) Tail(ctx context.Context, n int) error {
	stream, err := p.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, tailMethod)
	if err != nil {
		return err
	}
	request := binary.BigEndian.AppendUint64(nil, uint64(n))
	if err := errors.Join(stream.SendMsg(&request), stream.CloseSend()); err != nil {
		return err
	}
	var answer []byte
	if err := stream.RecvMsg(&answer); err != nil {
		return err
	}
	if len(answer) != n {
		return fmt.Errorf("%d bytes were answered, expected %d", len(answer), n)
	}
	if err := stream.RecvMsg(&answer); !errors.Is(err, io.EOF) {
		return fmt.Errorf("the answer goes on: %w", err)
	}
	return nil
}

// Close ends the stream, after which the process ends.
func (p *Peer) Close() error {
	if p.lines != nil && p.lines.CloseSend() == nil {
		_ = p.lines.RecvMsg(new([]byte)) // the end
	}
	return errors.Join(p.conn.Close(), p.cmd.Wait())
}

// abandon ends a process that is of no use.
func (p *Peer) abandon() { _, _ = p.cmd.Process.Kill(), p.cmd.Wait() }

// receiver is the other process.
type receiver struct {
	took []time.Duration
	n    uint64
}

// Serve answers on a socket. With a file, it writes the latencies of lines with a
// time of sending to it at the end, one a line.
func Serve(socket, file string) error {
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	r := new(receiver)
	s := grpc.NewServer(append(wire.ServerOptions(), grpc.ForceServerCodecV2(codec{}))...)
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: service,
		HandlerType: (*any)(nil),
		Streams: []grpc.StreamDesc{
			{StreamName: "Lines", Handler: func(_ any, st grpc.ServerStream) error {
				defer func() { go s.GracefulStop() }()
				return r.receive(st)
			}, ClientStreams: true, ServerStreams: true},
			{StreamName: "Tail", Handler: func(_ any, st grpc.ServerStream) error { return tail(st) }, ServerStreams: true},
		},
	}, r)
	fmt.Println("ready")
	if err := s.Serve(listener); err != nil {
		return err
	}
	return latency.Write(file, r.took)
}

func (r *receiver) receive(st grpc.ServerStream) error {
	var line []byte
	for {
		if err := st.RecvMsg(&line); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if len(line) > 0 {
			r.n++
			r.took = latency.Append(r.took, line)
			continue
		}
		count := binary.BigEndian.AppendUint64(nil, r.n)
		if err := st.SendMsg(&count); err != nil {
			return err
		}
	}
}

func tail(st grpc.ServerStream) error {
	var request []byte
	if err := st.RecvMsg(&request); err != nil {
		return err
	}
	if len(request) != countBytes {
		return fmt.Errorf("request of %d bytes", len(request))
	}
	answer := make([]byte, min(binary.BigEndian.Uint64(request), 1<<20))
	return st.SendMsg(&answer)
}
