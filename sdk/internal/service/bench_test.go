package service

import (
	"bytes"
	"context"
	"io"
	"testing"
	"time"

	"github.com/logplug/logplug/shared/logdriver"
	pb "github.com/logplug/logplug/shared/proto/logplug/v1"
	"github.com/logplug/logplug/shared/wire"
)

// pipe is a stream without a network: it plays requests that a host would
// send, within the window, as if they came from gRPC's receive buffers.
type pipe struct {
	ctx    context.Context
	logger uint64
	body   []byte // encoded entries of one request
	count  int    // of entries in body
	rounds int
	sent   uint64
	credit chan uint64 // acknowledged sequences
	acked  uint64
	window uint64 // in messages
}

func (p *pipe) Context() context.Context { return p.ctx }

func (p *pipe) RecvMsg(m any) error {
	if p.rounds == 0 {
		return io.EOF
	}
	p.rounds--
	for p.sent+uint64(p.count) > p.acked+p.window {
		p.acked = max(p.acked, <-p.credit)
	}
	var req wire.WriteRequest
	req.AppendBatch(p.logger, p.sent+1, p.body)
	p.sent += uint64(p.count)
	data, err := wire.NewCodec().Marshal(&req)
	if err != nil {
		return err
	}
	defer data.Free()
	return wire.NewCodec().Unmarshal(data, m)
}

func (p *pipe) SendMsg(m any) error {
	for _, a := range m.(*wire.WriteResponse).Acks {
		p.credit <- a.Seq
	}
	return nil
}

type discard struct{ n int }

func (d *discard) Log(m *logdriver.Message) error { logdriver.PutMessage(m); d.n++; return nil }
func (d *discard) Name() string                   { return "discard" }
func (d *discard) Close() error                   { return nil }

type discardBatch struct{ discard }

func (d *discardBatch) LogBatch(_ context.Context, msgs []*logdriver.Message) error {
	d.n += len(msgs)
	return nil
}

func BenchmarkWrite(b *testing.B) {
	b.Run("batch", func(b *testing.B) { benchmarkWrite(b, func() logdriver.Logger { return new(discardBatch) }) })
	b.Run("log", func(b *testing.B) { benchmarkWrite(b, func() logdriver.Logger { return new(discard) }) })
}

func benchmarkWrite(b *testing.B, open func() logdriver.Logger) {
	s := New(Config{Driver: Driver{
		Description: logdriver.Description{Name: "discard"},
		Open:        func(context.Context, logdriver.Info) (logdriver.Logger, error) { return open(), nil },
	}})
	resp, err := s.Open(b.Context(), &pb.OpenRequest{})
	if err != nil {
		b.Fatal(err)
	}
	p := &pipe{ctx: b.Context(), logger: resp.GetLogger(), credit: make(chan uint64, 1<<12)}
	m := logdriver.Message{Source: "stdout", Timestamp: time.Now(), Line: bytes.Repeat([]byte("x"), 100)}
	for len(p.body) < 64<<10 {
		p.body = wire.AppendEntry(p.body, &m)
		p.count++
	}
	p.window = uint64(p.count * (DefaultWindowBytes / len(p.body)))
	p.rounds = b.N/p.count + 1
	b.ReportAllocs()
	b.ResetTimer()
	if err := s.write(p, nil); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	if err := s.DrainAll(b.Context()); err != nil {
		b.Fatal(err)
	}
}
