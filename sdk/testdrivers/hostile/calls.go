package main

import pb "github.com/logplug/logplug/shared/proto/logplug/v1"

// calls never answer one of the simple calls.
func calls() map[string]behaviour {
	hangs := func(method string) behaviour { return func(d *driver) { d.methods[method] = never } }
	return map[string]behaviour{
		"flush-hangs":    hangs(pb.Driver_Flush_FullMethodName),
		"close-hangs":    hangs(pb.Driver_Close_FullMethodName),
		"drain-hangs":    hangs(pb.Driver_Drain_FullMethodName),
		"shutdown-hangs": hangs(methodShutdown),
	}
}
