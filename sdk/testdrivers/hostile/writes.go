package main

import (
	"strings"

	pb "github.com/logplug/logplug/shared/proto/logplug/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// writes misbehave with the Write stream as a whole.
func writes() map[string]behaviour {
	write := func(h handler) behaviour {
		return func(d *driver) { d.methods[pb.Driver_Write_FullMethodName] = h }
	}
	return map[string]behaviour{
		"write-unread": write(never),
		"write-ends":   write(func(grpc.ServerStream) error { return nil }),
		"write-fails":  write(func(grpc.ServerStream) error { return status.Error(codes.ResourceExhausted, "no more streams") }),
		"write-fails-long": write(func(grpc.ServerStream) error {
			return status.Error(codes.Internal, strings.Repeat("very ", 1<<20)+"long")
		}),
		"write-fails-later": write(each(func(grpc.ServerStream, *pb.Batch) error {
			return status.Error(codes.OK+99, "a code that nobody knows")
		})),
		"write-missing": func(d *driver) { delete(d.methods, pb.Driver_Write_FullMethodName) },
	}
}
