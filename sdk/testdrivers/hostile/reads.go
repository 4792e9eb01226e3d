package main

import (
	"bytes"
	"strings"

	pb "github.com/logplug/logplug/shared/proto/logplug/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// reads misbehave in ReadLogs.
func reads() map[string]behaviour {
	read := func(f func(grpc.ServerStream) error) behaviour {
		return func(d *driver) { d.methods[pb.Driver_ReadLogs_FullMethodName] = reading(f) }
	}
	once := func(m any) behaviour { return read(func(s grpc.ServerStream) error { return s.SendMsg(m) }) }
	endless := func(m any) behaviour {
		return read(func(s grpc.ServerStream) error {
			for {
				if err := s.SendMsg(m); err != nil {
					return err
				}
			}
		})
	}
	short := make([]*pb.Entry, 1000)
	for i := range short {
		short[i] = &pb.Entry{Line: []byte("again"), Source: "stdout"}
	}
	attrs := make([]*pb.Attr, 50_000)
	for i := range attrs {
		attrs[i] = &pb.Attr{Key: "k"}
	}
	return map[string]behaviour{
		"read-silent":  func(d *driver) { d.methods[pb.Driver_ReadLogs_FullMethodName] = never },
		"read-stuck":   read(never),
		"read-endless": endless(entries(short...)),
		"read-large":   endless(entries(&pb.Entry{Line: lineOfMaxBytes()})),
		"read-empty":   endless(raw(bytes.Repeat([]byte("\x0a\x00"), 1<<20))),
		"read-nothing": endless(raw(nil)),
		"read-line":    once(entries(&pb.Entry{Line: make([]byte, 3<<20)})),
		"read-source":  once(entries(&pb.Entry{Source: strings.Repeat("s", 2<<20)})),
		"read-error":   once(entries(&pb.Entry{Error: strings.Repeat("e", 2<<20)})),
		"read-attrs":   once(entries(&pb.Entry{Attrs: attrs})),
		"read-huge":    once(raw(make([]byte, 100<<20))),
		"read-garbage": once(raw("\x0a\x7f\x1a\x05abc")),
		"read-fields":  once(raw("\x0a\x04\xff\xff\xff\xff")),
		"read-fails":   read(func(grpc.ServerStream) error { return status.Error(codes.DataLoss, "the disk is on fire") }),
	}
}
