package service

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/logplug/logplug/shared/logdriver"
	pb "github.com/logplug/logplug/shared/proto/logplug/v1"
	"github.com/logplug/logplug/shared/wire"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

type sizedSink struct {
	sink
	size int
}

func (s *sizedSink) BufSize() int { return s.size }

func TestOpenReportsTheLoggersSize(t *testing.T) {
	for size, want := range map[int]uint32{-1: 0, 0: 0, 8192: 8192, 1 << 30: logdriver.MaxLineBytes} {
		p := serve(t, Config{Driver: driverOf(&sizedSink{size: size})})
		if got := p.open(logdriver.Info{}).GetBufSize(); got != want {
			t.Errorf("BufSize %d: %d, want %d", size, got, want)
		}
	}
}

func TestOpenErrors(t *testing.T) {
	var log syncBuffer
	for _, tc := range []struct {
		name string
		open func() (logdriver.Logger, error)
		cap  logdriver.Capability
		want error
		text string
	}{
		{"its own", func() (logdriver.Logger, error) { return nil, logdriver.ErrLogBusy }, logdriver.Capability{}, logdriver.ErrLogBusy, "in use"},
		{"secret", func() (logdriver.Logger, error) { return nil, errors.New("bad token hunter2!") }, logdriver.Capability{}, nil, "bad token [redacted]!"},
		{"panic", func() (logdriver.Logger, error) { panic("kaput hunter2") }, logdriver.Capability{}, wire.ErrPanic, "panicked in Open: kaput [redacted]"},
		{"nothing", func() (logdriver.Logger, error) { return nil, nil }, logdriver.Capability{}, nil, "mistake of the driver"},
		{"declared, cannot", func() (logdriver.Logger, error) { return new(sink), nil }, logdriver.Capability{ReadLogs: true}, nil, "has no ReadLogs method"},
		{"can, not declared", func() (logdriver.Logger, error) { return new(memory), nil }, logdriver.Capability{}, nil, "does not declare"},
		{"status of a sink", func() (logdriver.Logger, error) {
			return nil, status.Error(codes.Unavailable, "sink away")
		}, logdriver.Capability{}, nil, "sink away"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := Driver{
				Description: logdriver.Description{Capability: tc.cap},
				Open:        func(context.Context, logdriver.Info) (logdriver.Logger, error) { return tc.open() },
				Secrets:     func(c map[string]string) []string { return []string{c["token"]} },
			}
			p := serve(t, Config{Driver: d, Log: slog.New(slog.NewTextHandler(&log, nil))})
			info := logdriver.Info{Config: map[string]string{"token": "hunter2"}}
			_, err := p.client.Open(p.ctx(), &pb.OpenRequest{Info: wire.InfoToProto(&info)})
			if status.Code(err) == codes.Unavailable {
				t.Error("an error of the sink looks like one of the connection")
			}
			err = wire.FromStatus("test", err)
			if err == nil || !strings.Contains(err.Error(), tc.text) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("err = %v, want %q", err, tc.text)
			}
			if tc.want != nil && !errors.Is(err, tc.want) {
				t.Errorf("%v is not %v", err, tc.want)
			}
			if len(p.svc.all()) != 0 {
				t.Error("a logger was left open")
			}
		})
	}
	if !strings.Contains(log.String(), "service_test.go") {
		t.Error("the stack of the panic is not in the log")
	}
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func TestOpenWhoseCallerIsGoneIsUndone(t *testing.T) {
	s := new(sink)
	closed := make(chan struct{})
	s.onClose = func() error { close(closed); return nil }
	opening, gone := make(chan struct{}), make(chan struct{})
	p := serve(t, Config{Driver: Driver{Open: func(ctx context.Context, _ logdriver.Info) (logdriver.Logger, error) {
		close(opening)
		<-ctx.Done()
		<-gone
		return s, nil
	}}})
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-opening
		cancel()
		close(gone)
	}()
	if _, err := p.client.Open(ctx, &pb.OpenRequest{}); status.Code(err) != codes.Canceled {
		t.Errorf("err = %v", err)
	}
	await(t, closed, "the logger that nobody knows to be closed")
}

func await(t *testing.T, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		t.Fatalf("waited in vain for %s", what)
	}
}

func TestCloseStoresWhatWasReceived(t *testing.T) {
	entered, release := make(chan struct{}, 10), make(chan struct{})
	s := &sink{onBatch: func(context.Context, []*logdriver.Message) error {
		entered <- struct{}{}
		<-release
		return nil
	}}
	p := serve(t, Config{Driver: driverOf(s)})
	id := p.open(logdriver.Info{}).GetLogger()
	w := p.write()
	w.send(span{id, 1, numbered(1, 3)})
	<-entered
	done := make(chan error, 1)
	go func() { done <- p.close(id) }()
	close(release)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	expect(t, s, numbered(1, 3))
	w.untilAcked(id, 3)
}

func TestCloseTriesAtOnce(t *testing.T) {
	var fail sync.Once
	s := &sink{onBatch: func(context.Context, []*logdriver.Message) error {
		var err error
		fail.Do(func() { err = errors.New("not yet") })
		return err
	}}
	p := serve(t, Config{Driver: driverOf(s), BackoffMin: time.Hour})
	id := p.open(logdriver.Info{}).GetLogger()
	w := p.write()
	w.send(span{id, 1, numbered(1, 3)})
	w.until("blocked", func() bool { return w.blocked[id] != "" })
	if err := p.close(id); err != nil {
		t.Fatal(err)
	}
	expect(t, s, numbered(1, 3))
}

func TestCloseThatCannotStore(t *testing.T) {
	closed := make(chan struct{})
	s := &sink{onBatch: func(ctx context.Context, _ []*logdriver.Message) error {
		return errors.New("sink is down")
	}, onClose: func() error { close(closed); return nil }}
	p := serve(t, Config{Driver: driverOf(s)})
	id := p.open(logdriver.Info{}).GetLogger()
	w := p.write()
	w.send(span{id, 1, numbered(1, 3)})
	w.until("blocked", func() bool { return w.blocked[id] != "" })
	// Through a client, its deadline might be faster than the answer.
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	_, err := p.svc.Close(ctx, &pb.CloseRequest{Logger: id})
	if err == nil || !strings.Contains(err.Error(), "3 messages") || !strings.Contains(err.Error(), "sink is down") {
		t.Errorf("err = %v", err)
	}
	await(t, closed, "the driver's logger to be closed")
}

func TestCloseCancelsABatchThatHangs(t *testing.T) {
	entered := make(chan struct{})
	s := &sink{onBatch: func(ctx context.Context, _ []*logdriver.Message) error {
		close(entered)
		<-ctx.Done()
		return ctx.Err()
	}}
	p := serve(t, Config{Driver: driverOf(s)})
	id := p.open(logdriver.Info{}).GetLogger()
	w := p.write()
	w.send(span{id, 1, numbered(1, 3)})
	<-entered
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	if _, err := p.client.Close(ctx, &pb.CloseRequest{Logger: id}); err == nil {
		t.Error("no error")
	}
}

func TestCloseOfADriverThatIgnoresItsContext(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	closed := make(chan struct{})
	s := &sink{onBatch: func(context.Context, []*logdriver.Message) error {
		close(entered)
		<-release
		return nil
	}, onClose: func() error { close(closed); return nil }}
	p := serve(t, Config{Driver: driverOf(s)})
	id := p.open(logdriver.Info{}).GetLogger()
	w := p.write()
	w.send(span{id, 1, numbered(1, 3)})
	<-entered
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if _, err := p.client.Close(ctx, &pb.CloseRequest{Logger: id}); err == nil {
		t.Error("no error")
	}
	select {
	case <-closed:
		t.Error("closed while LogBatch runs")
	default:
	}
	close(release)
	await(t, closed, "the logger to be closed after its last LogBatch")
}

type flushSink struct {
	sink
	flush func(context.Context) error
}

func (s *flushSink) Flush(ctx context.Context) error { return s.flush(ctx) }

func TestFlush(t *testing.T) {
	s := &flushSink{flush: func(context.Context) error { return errors.New("fsync: disk is gone") }}
	p := serve(t, Config{Driver: driverOf(new(sink), s)})
	if _, err := p.client.Flush(p.ctx(), &pb.FlushRequest{Logger: p.open(logdriver.Info{}).GetLogger()}); err != nil {
		t.Errorf("a logger without Flush: %v", err)
	}
	id := p.open(logdriver.Info{}).GetLogger()
	if _, err := p.client.Flush(p.ctx(), &pb.FlushRequest{Logger: id}); err == nil || !strings.Contains(err.Error(), "disk is gone") {
		t.Errorf("err = %v", err)
	}
	s.flush = func(context.Context) error { panic("boom") }
	_, err := p.client.Flush(p.ctx(), &pb.FlushRequest{Logger: id})
	if err = wire.FromStatus("test", err); !errors.Is(err, wire.ErrPanic) {
		t.Errorf("err = %v", err)
	}
	_, err = p.client.Flush(p.ctx(), &pb.FlushRequest{Logger: 99})
	if err = wire.FromStatus("test", err); !errors.Is(err, wire.ErrUnknownLogger) {
		t.Errorf("err = %v", err)
	}
}

// Flush and Close use the same resources of a driver: neither is called while the
// other runs, nor Flush afterwards.
func TestCloseWaitsForFlush(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	s := &flushSink{flush: func(context.Context) error {
		close(entered)
		<-release
		return nil
	}}
	closed := make(chan struct{})
	s.onClose = func() error { close(closed); return nil }
	p := serve(t, Config{Driver: driverOf(s)})
	id := p.open(logdriver.Info{}).GetLogger()
	l, err := p.svc.find(id)
	if err != nil {
		t.Fatal(err)
	}
	flushed := make(chan error, 1)
	go func() { flushed <- l.flush(p.ctx()) }()
	<-entered
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if _, err := p.svc.Close(ctx, &pb.CloseRequest{Logger: id}); err == nil {
		t.Error("no error")
	}
	select {
	case <-closed:
		t.Error("closed while Flush runs")
	default:
	}
	close(release)
	if err := <-flushed; err != nil {
		t.Error(err)
	}
	await(t, closed, "the logger to be closed after its Flush")
	if err := l.flush(p.ctx()); !errors.Is(err, logdriver.ErrClosed) {
		t.Errorf("a flush that comes too late: %v", err)
	}
}

func TestDescribe(t *testing.T) {
	d := driverOf(new(sink))
	d.Description.Options = []logdriver.Option{{Name: "a", Type: logdriver.TypeSize}}
	p := serve(t, Config{Driver: d})
	resp, err := p.client.Describe(p.ctx(), &pb.DescribeRequest{})
	if err != nil || resp.GetName() != "test" || len(resp.GetOptions()) != 1 {
		t.Errorf("%v, %v", resp, err)
	}
}
