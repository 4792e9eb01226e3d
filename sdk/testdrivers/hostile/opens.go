package main

import (
	"context"
	"fmt"
	"math"
	"os"

	pb "github.com/logplug/logplug/shared/proto/logplug/v1"
	"google.golang.org/grpc"
)

// opens misbehave in the answer to Open.
func opens() map[string]behaviour {
	answer := func(change func(*pb.OpenResponse)) behaviour {
		return func(d *driver) {
			d.methods[pb.Driver_Open_FullMethodName] = unary(func(context.Context, *pb.OpenRequest) (any, error) {
				r := opened(d.loggers.next())
				change(r)
				return r, nil
			})
		}
	}
	return map[string]behaviour{
		"open-hangs":        func(d *driver) { d.methods[pb.Driver_Open_FullMethodName] = never },
		"open-garbage":      func(d *driver) { d.methods[pb.Driver_Open_FullMethodName] = always(raw("\x08\xff\xff\xff")) },
		"open-huge":         func(d *driver) { d.methods[pb.Driver_Open_FullMethodName] = always(raw(make([]byte, 100<<20))) },
		"open-number-0":     answer(func(r *pb.OpenResponse) { r.Logger = 0 }),
		"open-number-same":  answer(func(r *pb.OpenResponse) { r.Logger = 7 }),
		"open-number-max":   answer(func(r *pb.OpenResponse) { r.Logger += math.MaxUint64 / 2 }),
		"open-window-0":     answer(func(r *pb.OpenResponse) { r.WindowBytes = 0 }),
		"open-window-1":     answer(func(r *pb.OpenResponse) { r.WindowBytes = 1 }),
		"open-window-half":  answer(func(r *pb.OpenResponse) { r.WindowBytes = 1 << 63 }),
		"open-window-max":   answer(func(r *pb.OpenResponse) { r.WindowBytes = math.MaxUint64 }),
		"open-buffer-1":     answer(func(r *pb.OpenResponse) { r.BufSize = 1 }),
		"open-buffer-max":   answer(func(r *pb.OpenResponse) { r.BufSize = math.MaxUint32 }),
		"open-holds-all":    answer(func(r *pb.OpenResponse) { r.LastSeq = math.MaxUint64 }),
		"open-holds-unsent": holdsUnsent,
		"open-crash": func(d *driver) {
			d.methods[pb.Driver_Open_FullMethodName] = func(s grpc.ServerStream) error { return crash(s, nil) }
		},
		"open-then-vanishes": vanishes,
	}
}

// always serves a method with the same message, unless it cannot be sent.
func always(m any) handler {
	return func(s grpc.ServerStream) error { return s.SendMsg(m) }
}

// unsentSeq is what a logger's window holds no messages enough for, of those that the
// test sends.
const unsentSeq = 95

// holdsUnsent ends with the first batch. Its next process claims to hold
// more than was sent, and notes what it is sent then in the file that the option
// "state" names.
func holdsUnsent(d *driver) {
	path := ""
	second := false
	d.methods[pb.Driver_Open_FullMethodName] = unary(func(_ context.Context, r *pb.OpenRequest) (any, error) {
		path = r.GetInfo().GetConfig()["state"]
		o := opened(d.loggers.next())
		o.WindowBytes = 64 << 10
		if _, err := os.Stat(path); err == nil {
			second, o.LastSeq = true, unsentSeq
		}
		return o, nil
	})
	d.methods[pb.Driver_Write_FullMethodName] = each(func(s grpc.ServerStream, b *pb.Batch) error {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		defer f.Close()
		if !second {
			os.Exit(3)
		}
		if _, err := fmt.Fprintf(f, "%d-%d\n", b.FirstSeq, last(b)); err != nil {
			return err
		}
		return s.SendMsg(ack(b.Logger, last(b)))
	})
}

// vanishes ends as soon as its answer to Open is out.
func vanishes(d *driver) {
	d.methods[pb.Driver_Open_FullMethodName] = func(s grpc.ServerStream) error {
		if err := s.SendMsg(opened(d.loggers.next())); err != nil {
			return err
		}
		go func() {
			<-s.Context().Done() // the answer is complete
			os.Exit(3)
		}()
		return nil
	}
}
