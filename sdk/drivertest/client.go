package drivertest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"

	"github.com/logplug/logplug/shared/logdriver"
	pb "github.com/logplug/logplug/shared/proto/logplug/v1"
	"github.com/logplug/logplug/shared/wire"
)

// callCtx bounds one call.
func (p *process) callCtx(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, p.env.opts.Wait)
}

func (p *process) open(ctx context.Context, info logdriver.Info) (*pb.OpenResponse, error) {
	return p.openRequest(ctx, &pb.OpenRequest{Info: wire.InfoToProto(&info)})
}

func (p *process) openRequest(ctx context.Context, req *pb.OpenRequest) (*pb.OpenResponse, error) {
	ctx, cancel := p.callCtx(ctx)
	defer cancel()
	o, err := p.client.Open(ctx, req)
	if err != nil {
		return nil, fmt.Errorf("Open: %w", wire.FromStatus(p.env.name, err))
	}
	if o.GetLogger() == 0 {
		return nil, errors.New("Open answered with the logger number 0")
	}
	return o, nil
}

func (p *process) closeLogger(ctx context.Context, logger uint64) error {
	ctx, cancel := p.callCtx(ctx)
	defer cancel()
	if _, err := p.client.Close(ctx, &pb.CloseRequest{Logger: logger}); err != nil {
		return fmt.Errorf("Close of logger %d: %w", logger, wire.FromStatus(p.env.name, err))
	}
	return nil
}

// readInfo asks for the log that info describes.
func readInfo(info logdriver.Info, cfg logdriver.ReadConfig) *pb.ReadLogsRequest {
	return &pb.ReadLogsRequest{
		Log:    &pb.ReadLogsRequest_Info{Info: wire.InfoToProto(&info)},
		Config: wire.ReadConfigToProto(cfg),
	}
}

// readLogger asks for the log of an open logger.
func readLogger(logger uint64, cfg logdriver.ReadConfig) *pb.ReadLogsRequest {
	return &pb.ReadLogsRequest{
		Log:    &pb.ReadLogsRequest_Logger{Logger: logger},
		Config: wire.ReadConfigToProto(cfg),
	}
}

// read reads to the end.
func (p *process) read(ctx context.Context, req *pb.ReadLogsRequest) (records []record, err error) {
	ctx, cancel := p.callCtx(ctx)
	defer cancel()
	stream, err := p.client.ReadLogs(ctx, req)
	for err == nil {
		var resp *pb.ReadLogsResponse
		if resp, err = stream.Recv(); err == nil {
			for _, e := range resp.GetEntries() {
				records = append(records, recordOfEntry(e))
			}
		}
	}
	if !errors.Is(err, io.EOF) {
		return records, fmt.Errorf("ReadLogs: %w", wire.FromStatus(p.env.name, err))
	}
	return records, nil
}

func recordOfEntry(e *pb.Entry) record {
	r := record{
		line: string(e.GetLine()), source: e.GetSource(), at: time.Unix(0, e.GetTimeUnixNano()),
		partial: logdriver.Partial{
			ID: e.GetPartial().GetId(), Ordinal: int(e.GetPartial().GetOrdinal()), Last: e.GetPartial().GetLast(),
		},
		unterminated: e.GetUnterminated(),
	}
	for _, a := range e.GetAttrs() {
		r.attrs = append(r.attrs, logdriver.Attr{Key: a.GetKey(), Value: a.GetValue()})
	}
	if e.GetError() != "" {
		r.err = errors.New(e.GetError())
	}
	return r
}

func entryOf(r *record) *pb.Entry {
	e := &pb.Entry{
		TimeUnixNano: r.at.UnixNano(), Source: r.source, Line: []byte(r.line), Unterminated: r.unterminated,
	}
	for _, a := range r.attrs {
		e.Attrs = append(e.Attrs, &pb.Attr{Key: a.Key, Value: a.Value})
	}
	if r.partial.IsPartial() {
		e.Partial = &pb.Partial{Id: r.partial.ID, Ordinal: int32(r.partial.Ordinal), Last: r.partial.Last}
	}
	return e
}

// batch makes a batch of records.
func batch(logger, firstSeq uint64, records []record) *pb.Batch {
	b := &pb.Batch{Logger: logger, FirstSeq: firstSeq}
	for i := range records {
		b.Entries = append(b.Entries, entryOf(&records[i]))
	}
	return b
}

// writing is one Write stream.
type writing struct {
	process *process
	stream  grpc.BidiStreamingClient[pb.WriteRequest, pb.WriteResponse]
	acks    chan *pb.Ack // closed at the end of the stream
	end     error        // why it ended, once acks is closed

	sent    map[uint64]uint64 // by logger: the highest sequence
	settled map[uint64]uint64 // by logger: the highest acknowledged one
}

// openWrite opens the stream. It ends with the process.
func (p *process) openWrite(ctx context.Context) (*writing, error) {
	stream, err := p.client.Write(ctx)
	if err != nil {
		return nil, fmt.Errorf("Write: %w", wire.FromStatus(p.env.name, err))
	}
	w := &writing{
		process: p, stream: stream, acks: make(chan *pb.Ack),
		sent: make(map[uint64]uint64), settled: make(map[uint64]uint64),
	}
	p.readers.Go(w.receive)
	return w, nil
}

func (w *writing) receive() {
	defer close(w.acks)
	for {
		resp, err := w.stream.Recv()
		if err != nil {
			w.end = wire.FromStatus(w.process.env.name, err)
			return
		}
		for _, a := range resp.GetAcks() {
			select {
			case w.acks <- a:
			case <-w.process.quit:
				w.end = wire.ErrUnavailable
				return
			}
		}
	}
}

func (w *writing) send(batches ...*pb.Batch) error {
	return w.sendRequest(&pb.WriteRequest{Batches: batches})
}

func (w *writing) sendRequest(req *pb.WriteRequest) error {
	for _, b := range req.GetBatches() {
		if n := len(b.GetEntries()); n > 0 {
			w.sent[b.GetLogger()] = max(w.sent[b.GetLogger()], b.GetFirstSeq()+uint64(n)-1)
		}
	}
	if err := w.stream.Send(req); err != nil {
		return fmt.Errorf("the Write stream has ended: %w", err)
	}
	return nil
}

// settle reads acknowledgements until logger's messages up to seq are settled,
// and checks that all are legitimate.
func (w *writing) settle(ctx context.Context, logger, seq uint64) error {
	late := time.NewTimer(w.process.env.opts.Wait)
	defer late.Stop()
	for w.settled[logger] < seq {
		select {
		case a, ok := <-w.acks:
			if !ok {
				return fmt.Errorf("the Write stream has ended: %w", orNoError(w.end))
			}
			if err := w.take(a); err != nil {
				return err
			}
		case <-late.C:
			return fmt.Errorf("message %d of logger %d is not acknowledged within %v, message %d is",
				seq, logger, w.process.env.opts.Wait, w.settled[logger])
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

func (w *writing) take(a *pb.Ack) error {
	id := a.GetLogger()
	sent, known := w.sent[id]
	switch {
	case !known:
		return fmt.Errorf("an acknowledgement for logger %d, to which nothing was sent", id)
	case a.GetSeq() > sent:
		return fmt.Errorf("message %d of logger %d was acknowledged, %d is the last one sent", a.GetSeq(), id, sent)
	case a.GetSeq() < w.settled[id]:
		return fmt.Errorf("the acknowledgement of logger %d went back from message %d to %d", id, w.settled[id], a.GetSeq())
	case len(a.GetFailures()) > 0:
		f := a.GetFailures()[0]
		return fmt.Errorf("message %d of logger %d was rejected: %s", f.GetSeq(), id, trimmed(f.GetReason()))
	}
	w.settled[id] = a.GetSeq()
	return nil
}

// store sends records and waits until they are settled.
func (w *writing) store(ctx context.Context, logger, firstSeq uint64, records []record) error {
	if err := w.send(batch(logger, firstSeq, records)); err != nil {
		return err
	}
	return w.settle(ctx, logger, firstSeq+uint64(len(records))-1)
}
