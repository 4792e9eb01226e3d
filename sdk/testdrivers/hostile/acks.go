package main

import (
	"bytes"
	"math"
	"strings"

	pb "github.com/logplug/logplug/shared/proto/logplug/v1"
	"google.golang.org/grpc"
)

// acks misbehave in acknowledgements.
func acks() map[string]behaviour {
	answer := func(f func(logger, seq uint64) any) behaviour {
		return func(d *driver) { d.methods[pb.Driver_Write_FullMethodName] = acknowledge(f) }
	}
	always := func(m any) behaviour { return answer(func(uint64, uint64) any { return m }) }
	return map[string]behaviour{
		"ack-future":  answer(func(logger, seq uint64) any { return ack(logger, seq+1000) }),
		"ack-highest": answer(func(logger, _ uint64) any { return ack(logger, math.MaxUint64) }),
		"ack-negative": answer(func(logger, _ uint64) any {
			back := int64(-5)
			return ack(logger, uint64(back))
		}),
		"ack-backwards": func(d *driver) { d.methods[pb.Driver_Write_FullMethodName] = backwards() },
		"ack-unknown": answer(func(logger, seq uint64) any {
			r := ack(logger, seq)
			for _, other := range []uint64{0, logger + 1, 1 << 40, math.MaxUint64} {
				r.Acks = append(r.Acks, &pb.Ack{Logger: other, Seq: math.MaxUint64, Blocked: "because"})
			}
			return r
		}),
		"ack-never": func(d *driver) {
			d.methods[pb.Driver_Write_FullMethodName] = each(func(grpc.ServerStream, *pb.Batch) error { return nil })
		},
		"ack-late": func(d *driver) {
			d.methods[pb.Driver_Write_FullMethodName] = each(func(s grpc.ServerStream, b *pb.Batch) error {
				if !bytes.HasPrefix(b.Entries[len(b.Entries)-1].Line, lateLine) {
					return nil
				}
				return s.SendMsg(ack(b.Logger, last(b)))
			})
		},
		"ack-asked": func(d *driver) {
			d.methods[pb.Driver_Write_FullMethodName] = func(s grpc.ServerStream) error { return whenAsked()(s) }
		},
		"ack-stale":   func(d *driver) { d.methods[pb.Driver_Write_FullMethodName] = stale },
		"ack-garbage": always(raw("\x0a\x05\x08\xff\xff\xff\xff\xff\xff\xff")),
		"ack-huge":    always(raw(make([]byte, 100<<20))),
		// Two bytes an acknowledgement: small on the wire, large when decoded.
		"ack-many": always(raw(bytes.Repeat([]byte("\x0a\x00"), 4<<20-100))),
		"ack-failures": answer(func(logger, seq uint64) any {
			r := ack(logger, seq)
			r.Acks[0].Failures = []*pb.Failure{{Seq: seq, Reason: strings.Repeat("no", 1<<20)}}
			return r
		}),
		"ack-failures-same": answer(func(logger, seq uint64) any { return failures(logger, seq, 50_000, func(int) uint64 { return seq }) }),
		"ack-failures-many": answer(func(logger, seq uint64) any {
			return failures(logger, seq, 500_000, func(i int) uint64 { return uint64(i) })
		}),
		"ack-failures-unsent": answer(func(logger, seq uint64) any {
			return failures(logger, seq, 5, func(i int) uint64 { return []uint64{0, seq + 1, seq + 100, 1 << 63, math.MaxUint64}[i] })
		}),
		"ack-failures-empty": answer(func(logger, seq uint64) any { return emptyFailures(logger, seq) }),
		"ack-blocked": answer(func(logger, _ uint64) any {
			return &pb.WriteResponse{Acks: []*pb.Ack{{Logger: logger, Blocked: "because " + strings.Repeat("of this ", 1<<18)}}}
		}),
	}
}

// lateLine begins the line that is acknowledged with all before it.
var lateLine = []byte("line 99 ")

// whenAsked acknowledges everything when the host asks for it, and nothing before.
func whenAsked() handler {
	unacked := map[uint64]uint64{}
	return requests(func(s grpc.ServerStream, req *pb.WriteRequest) error {
		for _, b := range req.Batches {
			unacked[b.Logger] = last(b)
		}
		if len(req.Batches) > 0 {
			return nil
		}
		for logger, seq := range unacked {
			delete(unacked, logger)
			if err := s.SendMsg(ack(logger, seq)); err != nil {
				return err
			}
		}
		return nil
	})
}

// backwards takes the acknowledgement before the last one back.
func backwards() handler {
	return each(func(s grpc.ServerStream, b *pb.Batch) error {
		if err := s.SendMsg(ack(b.Logger, last(b))); err != nil {
			return err
		}
		return s.SendMsg(ack(b.Logger, last(b)-1))
	})
}

// stale repeats for ever that nothing is stored yet.
func stale(s grpc.ServerStream) error {
	return each(func(s grpc.ServerStream, b *pb.Batch) error {
		for {
			if err := s.SendMsg(ack(b.Logger, b.FirstSeq-1)); err != nil {
				return err
			}
		}
	})(s)
}

func failures(logger, seq uint64, n int, number func(int) uint64) *pb.WriteResponse {
	r := ack(logger, seq)
	r.Acks[0].Failures = make([]*pb.Failure, n)
	for i := range n {
		r.Acks[0].Failures[i] = &pb.Failure{Seq: number(i), Reason: "no"}
	}
	return r
}

// emptyFailures has millions of them, two bytes each.
func emptyFailures(logger, seq uint64) raw {
	body := []byte{0x08, byte(logger), 0x10, byte(seq & 0x7f)}
	body = append(body, bytes.Repeat([]byte("\x1a\x00"), 3<<20)...)
	n := len(body)
	head := []byte{0x0a, byte(n)&0x7f | 0x80, byte(n>>7)&0x7f | 0x80, byte(n>>14)&0x7f | 0x80, byte(n >> 21)}
	return append(head, body...)
}
