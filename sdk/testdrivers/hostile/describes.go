package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	pb "github.com/logplug/logplug/shared/proto/logplug/v1"
)

// describes misbehave in Describe.
func describes() map[string]behaviour {
	answer := func(f func(*pb.DescribeResponse)) behaviour {
		return func(d *driver) {
			h := description("hostile")
			f(h)
			d.methods[pb.Driver_Describe_FullMethodName] = unary(func(context.Context, *pb.DescribeRequest) (any, error) { return h, nil })
		}
	}
	send := func(m any) behaviour {
		return func(d *driver) { d.methods[pb.Driver_Describe_FullMethodName] = always(m) }
	}
	return map[string]behaviour{
		"describe-hangs":   func(d *driver) { d.methods[pb.Driver_Describe_FullMethodName] = never },
		"describe-missing": func(d *driver) { delete(d.methods, pb.Driver_Describe_FullMethodName) },
		"describe-options": answer(func(r *pb.DescribeResponse) {
			for i := range 20_000 {
				r.Options = append(r.Options, &pb.Option{Name: fmt.Sprintf("option-%d", i), Help: strings.Repeat("help ", 12)})
			}
		}),
		"describe-help": answer(func(r *pb.DescribeResponse) { r.Options[0].Help = strings.Repeat("help ", 1<<19) }),
		"describe-huge": answer(func(r *pb.DescribeResponse) { r.Summary = strings.Repeat("x", 20<<20) }),
		// Two bytes an option: small on the wire, large when decoded.
		"describe-empty": send(raw(bytes.Repeat([]byte("\x3a\x00"), 4<<20-100))),
		"describe-small": send(raw(bytes.Repeat([]byte("\x3a\x00"), 500_000))),
		"describe-utf8":  send(raw("\x0a\x03\xff\xfe\xfd")),
		"describe-range": answer(func(r *pb.DescribeResponse) { r.ProtocolMin, r.ProtocolMax = -5, -1<<31 }),
		"describe-name":  answer(func(r *pb.DescribeResponse) { r.Name = "../\x1b[31m\x00" }),
	}
}
