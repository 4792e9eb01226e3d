package main

import (
	pb "github.com/logplug/logplug/shared/proto/logplug/v1"
	"github.com/logplug/logplug/shared/wire"
	"google.golang.org/grpc"
)

// calls never answer one of the simple calls, or forget what they are asked to close.
func calls() map[string]behaviour {
	hangs := func(method string) behaviour { return func(d *driver) { d.methods[method] = never } }
	return map[string]behaviour{
		"flush-hangs": hangs(pb.Driver_Flush_FullMethodName),
		"close-hangs": hangs(pb.Driver_Close_FullMethodName),
		"close-unknown": func(d *driver) {
			d.methods[pb.Driver_Close_FullMethodName] = func(grpc.ServerStream) error { return wire.ToStatus(wire.ErrUnknownLogger) }
		},
		"drain-hangs":    hangs(pb.Driver_Drain_FullMethodName),
		"shutdown-hangs": hangs(methodShutdown),
	}
}
