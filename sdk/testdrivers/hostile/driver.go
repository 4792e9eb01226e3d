package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"

	"github.com/logplug/logplug/shared/logdriver"
	pb "github.com/logplug/logplug/shared/proto/logplug/v1"
	"github.com/logplug/logplug/shared/wire"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // registers the codec that ours falls back to
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
)

const (
	methodHealth   = grpc_health_v1.Health_Check_FullMethodName
	methodShutdown = "/plugin.GRPCController/Shutdown"
	methodStdio    = "/plugin.GRPCStdio/StreamStdio"
)

// handler serves one method.
type handler func(grpc.ServerStream) error

// driver is a driver without a sink. Behaviours replace its parts.
type driver struct {
	// line is the handshake line, with %s for the socket's path.
	line    string
	options []grpc.ServerOption
	methods map[string]handler
	// accept serves the connections; nil for gRPC.
	accept func(net.Listener) error
	// wrap changes what gRPC listens on; it may be nil.
	wrap func(net.Listener) net.Listener
	// orphan lives on without its host.
	orphan bool

	loggers counter
}

// honest returns a driver that keeps to the protocol.
func honest(name string) *driver {
	d := &driver{line: "1|1|unix|%s|grpc|\n"}
	d.methods = map[string]handler{
		methodHealth:   unary(func(context.Context, *grpc_health_v1.HealthCheckRequest) (any, error) { return healthy(), nil }),
		methodShutdown: unary(func(context.Context, *emptypb.Empty) (any, error) { os.Exit(0); return nil, nil }),
		pb.Driver_Describe_FullMethodName: unary(func(context.Context, *pb.DescribeRequest) (any, error) {
			return description(name), nil
		}),
		pb.Driver_Open_FullMethodName: unary(func(context.Context, *pb.OpenRequest) (any, error) {
			return opened(d.loggers.next()), nil
		}),
		pb.Driver_Write_FullMethodName: acknowledge(func(logger, seq uint64) any { return ack(logger, seq) }),
		pb.Driver_ReadLogs_FullMethodName: reading(func(s grpc.ServerStream) error {
			return s.SendMsg(entries(&pb.Entry{Line: []byte("an honest line"), Source: "stdout"}))
		}),
		pb.Driver_Flush_FullMethodName: unary(func(context.Context, *pb.FlushRequest) (any, error) { return &pb.FlushResponse{}, nil }),
		pb.Driver_Close_FullMethodName: unary(func(context.Context, *pb.CloseRequest) (any, error) { return &pb.CloseResponse{}, nil }),
		pb.Driver_Drain_FullMethodName: unary(func(context.Context, *pb.DrainRequest) (any, error) { return &pb.DrainResponse{}, nil }),
	}
	return d
}

func healthy() *grpc_health_v1.HealthCheckResponse {
	return &grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_SERVING}
}

func description(name string) *pb.DescribeResponse {
	return &pb.DescribeResponse{
		Name: name, Version: "1.0.0", ProtocolMin: wire.MinProtocol, ProtocolMax: wire.MaxProtocol,
		Capability: &pb.Capability{ReadLogs: true},
		Options:    []*pb.Option{{Name: "state", Type: "string"}, {Name: "token", Type: "string", Secret: true}},
	}
}

func opened(logger uint64) *pb.OpenResponse {
	return &pb.OpenResponse{Logger: logger, WindowBytes: 1 << 20, Capability: &pb.Capability{ReadLogs: true}}
}

func ack(logger, seq uint64) *pb.WriteResponse {
	return &pb.WriteResponse{Acks: []*pb.Ack{{Logger: logger, Seq: seq}}}
}

func entries(list ...*pb.Entry) *pb.ReadLogsResponse { return &pb.ReadLogsResponse{Entries: list} }

// serve listens, prints the handshake line, and serves until it is told to stop.
func (d *driver) serve() error {
	path := filepath.Join(os.Getenv(wire.EnvSocketDir), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	fmt.Printf(d.line, path)
	if !d.orphan {
		go hang() // exits with the host
	}
	if d.accept != nil {
		return d.accept(l)
	}
	if d.wrap != nil {
		l = d.wrap(l)
	}
	options := append(d.options,
		grpc.ForceServerCodecV2(codec{encoding.GetCodecV2("proto")}),
		grpc.UnknownServiceHandler(d.handle),
		grpc.MaxSendMsgSize(1<<30), grpc.MaxRecvMsgSize(wire.MaxMessageBytes))
	return grpc.NewServer(options...).Serve(l)
}

func (d *driver) handle(_ any, s grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(s)
	if h := d.methods[method]; h != nil {
		return h(s)
	}
	return status.Errorf(codes.Unimplemented, "no method %s", method)
}

// raw is a message as it goes over the wire, valid or not.
type raw []byte

// codec sends raw messages besides those of generated code.
type codec struct{ encoding.CodecV2 }

func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	if r, ok := v.(raw); ok {
		return mem.BufferSlice{mem.SliceBuffer(r)}, nil
	}
	return c.CodecV2.Marshal(v)
}

// unary serves a method with one request and one response.
func unary[T any, M interface {
	*T
	proto.Message
}](f func(context.Context, M) (any, error)) handler {
	return func(s grpc.ServerStream) error {
		req := M(new(T))
		if err := s.RecvMsg(req); err != nil {
			return err
		}
		resp, err := f(s.Context(), req)
		if err != nil {
			return err
		}
		return s.SendMsg(resp)
	}
}

// each serves Write by calling f for every batch that arrives.
func each(f func(grpc.ServerStream, *pb.Batch) error) handler {
	return requests(func(s grpc.ServerStream, req *pb.WriteRequest) error {
		for _, b := range req.Batches {
			if err := f(s, b); err != nil {
				return err
			}
		}
		return nil
	})
}

// requests serves Write by calling f for every request that arrives.
func requests(f func(grpc.ServerStream, *pb.WriteRequest) error) handler {
	return func(s grpc.ServerStream) error {
		for {
			var req pb.WriteRequest
			if err := s.RecvMsg(&req); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return err
			}
			if err := f(s, &req); err != nil {
				return err
			}
		}
	}
}

// acknowledge serves Write with an answer to every batch: that of f for the
// batch's last message.
func acknowledge(f func(logger, seq uint64) any) handler {
	return each(func(s grpc.ServerStream, b *pb.Batch) error {
		return s.SendMsg(f(b.Logger, last(b)))
	})
}

func last(b *pb.Batch) uint64 { return b.FirstSeq + uint64(len(b.Entries)) - 1 }

// reading serves ReadLogs: f sends, once the header tells that the position is taken.
func reading(f func(grpc.ServerStream) error) handler {
	return func(s grpc.ServerStream) error {
		var req pb.ReadLogsRequest
		if err := s.RecvMsg(&req); err != nil {
			return err
		}
		if err := s.SendHeader(nil); err != nil {
			return err
		}
		return f(s)
	}
}

// never serves a method by never answering, whatever the host does.
func never(grpc.ServerStream) error { select {} }

// lineOfMaxBytes is as long as a line may be.
func lineOfMaxBytes() []byte { return make([]byte, logdriver.MaxLineBytes) }
