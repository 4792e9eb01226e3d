package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/logplug/logplug/shared/logdriver"
	pb "github.com/logplug/logplug/shared/proto/logplug/v1"
	"github.com/logplug/logplug/shared/wire"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds everything that a test waits for.
const patience = 60 * time.Second

// peer is a host's side of a service behind a unix socket.
type peer struct {
	t      *testing.T
	svc    *Service
	client pb.DriverClient
}

func serve(t *testing.T, cfg Config) *peer {
	t.Helper()
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.BackoffMin == 0 {
		cfg.BackoffMin, cfg.BackoffMax = time.Millisecond, 5*time.Millisecond
	}
	cfg.Driver.Description.Name = "test"
	svc := New(cfg)
	srv := grpc.NewServer(grpc.ForceServerCodecV2(wire.NewCodec()), grpc.MaxRecvMsgSize(wire.MaxMessageBytes))
	pb.RegisterDriverServer(srv, svc)
	lis, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(lis) }()
	conn, err := grpc.NewClient("unix:"+lis.Addr().String(),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(wire.NewCodec()), grpc.MaxCallRecvMsgSize(wire.MaxMessageBytes)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_ = svc.DrainAll(ctx) // loggers that a test left in trouble
		_ = conn.Close()
		srv.Stop()
		<-served
		if err := svc.Wait(ctx); err != nil {
			t.Errorf("%v", err)
		}
	})
	return &peer{t, svc, pb.NewDriverClient(conn)}
}

func (p *peer) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	p.t.Cleanup(cancel)
	return ctx
}

func (p *peer) open(info logdriver.Info) *pb.OpenResponse {
	p.t.Helper()
	resp, err := p.client.Open(p.ctx(), &pb.OpenRequest{Info: wire.InfoToProto(&info)})
	if err != nil {
		p.t.Fatalf("open: %v", err)
	}
	return resp
}

func (p *peer) close(logger uint64) error {
	_, err := p.client.Close(p.ctx(), &pb.CloseRequest{Logger: logger})
	return wire.FromStatus("test", err)
}

// untilIdle waits for all workers to end.
func (p *peer) untilIdle() {
	p.t.Helper()
	for ctx := p.ctx(); p.svc.working.Load() > 0; runtime.Gosched() {
		if ctx.Err() != nil {
			p.t.Fatal("workers that do not end")
		}
	}
}

// writer is a Write stream whose acknowledgements are collected.
type writer struct {
	t      *testing.T
	stream grpc.BidiStreamingClient[pb.WriteRequest, pb.WriteResponse]
	cancel context.CancelFunc
	done   chan struct{}

	mu       sync.Mutex
	changed  chan struct{}
	acked    map[uint64]uint64
	blocked  map[uint64]string
	failures map[uint64][]wire.Failure
	sends    int
	err      error
}

func (p *peer) write() *writer {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	st, err := p.client.Write(ctx)
	if err != nil {
		p.t.Fatal(err)
	}
	w := &writer{
		t: p.t, stream: st, cancel: cancel, done: make(chan struct{}), changed: make(chan struct{}),
		acked: map[uint64]uint64{}, blocked: map[uint64]string{}, failures: map[uint64][]wire.Failure{},
	}
	go w.collect()
	p.t.Cleanup(func() { cancel(); <-w.done })
	return w
}

func (w *writer) collect() {
	defer close(w.done)
	for {
		var resp wire.WriteResponse
		err := w.stream.RecvMsg(&resp)
		w.mu.Lock()
		w.err = err
		for _, a := range resp.Acks {
			if a.Seq < w.acked[a.Logger] {
				w.t.Errorf("logger %d: acknowledged %d after %d", a.Logger, a.Seq, w.acked[a.Logger])
			}
			w.acked[a.Logger] = a.Seq
			w.blocked[a.Logger] = a.Blocked
			w.failures[a.Logger] = append(w.failures[a.Logger], a.Failures...)
		}
		w.sends++
		close(w.changed)
		w.changed = make(chan struct{})
		w.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// until waits for a condition on what was received.
func (w *writer) until(what string, ok func() bool) {
	w.t.Helper()
	deadline := time.After(patience)
	for {
		w.mu.Lock()
		good, changed, err := ok(), w.changed, w.err
		w.mu.Unlock()
		if good {
			return
		}
		if err != nil {
			w.t.Fatalf("waiting for %s: the stream ended: %v", what, err)
		}
		select {
		case <-changed:
		case <-deadline:
			w.t.Fatalf("no %s within %v", what, patience)
		}
	}
}

// responses returns how many have come.
func (w *writer) responses() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sends
}

func (w *writer) untilAcked(logger, seq uint64) {
	w.t.Helper()
	w.until(fmt.Sprintf("ack of %d", seq), func() bool { return w.acked[logger] >= seq })
}

func (w *writer) wait() error {
	select {
	case <-w.done:
	case <-time.After(patience):
		w.t.Fatal("the stream does not end")
	}
	if errors.Is(w.err, io.EOF) {
		return nil
	}
	return w.err
}

type span struct {
	logger, first uint64
	lines         []string
}

func (w *writer) send(spans ...span) {
	w.t.Helper()
	var req wire.WriteRequest
	for _, s := range spans {
		var body []byte
		for _, line := range s.lines {
			body = wire.AppendEntry(body, &logdriver.Message{Line: []byte(line), Source: "stdout"})
		}
		req.AppendBatch(s.logger, s.first, body)
	}
	if err := w.stream.SendMsg(&req); err != nil {
		w.t.Fatal(err)
	}
}

// sink is a logger in memory with the behaviour that a test gives it.
type sink struct {
	onBatch func(ctx context.Context, msgs []*logdriver.Message) error
	onClose func() error

	mu     sync.Mutex
	lines  []string
	seqs   []uint64
	closed int
}

func (s *sink) Name() string { return "test" }

func (s *sink) Log(*logdriver.Message) error { return errors.New("LogBatch should have been called") }

func (s *sink) LogBatch(ctx context.Context, msgs []*logdriver.Message) error {
	if s.onBatch != nil {
		if err := s.onBatch(ctx, msgs); err != nil {
			return err
		}
	}
	s.keep(msgs)
	return nil
}

func (s *sink) keep(msgs []*logdriver.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range msgs {
		s.lines = append(s.lines, string(m.Line))
		s.seqs = append(s.seqs, m.Seq)
	}
}

func (s *sink) Close() error {
	s.mu.Lock()
	s.closed++
	s.mu.Unlock()
	if s.onClose != nil {
		return s.onClose()
	}
	return nil
}

func (s *sink) timesClosed() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

func (s *sink) got() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.lines...)
}

// driverOf returns a driver that opens the given loggers, one after the other,
// and the last of them from then on.
func driverOf(loggers ...logdriver.Logger) Driver {
	var mu sync.Mutex
	return Driver{Open: func(context.Context, logdriver.Info) (logdriver.Logger, error) {
		mu.Lock()
		defer mu.Unlock()
		l := loggers[0]
		if len(loggers) > 1 {
			loggers = loggers[1:]
		}
		return l, nil
	}}
}
