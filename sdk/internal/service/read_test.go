package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/logplug/logplug/shared/logdriver"
	pb "github.com/logplug/logplug/shared/proto/logplug/v1"
	"github.com/logplug/logplug/shared/wire"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// memory is a sink that can be read.
type memory struct {
	sink
	read func(ctx context.Context, cfg logdriver.ReadConfig, w *logdriver.LogWatcher)
}

func (m *memory) ReadLogs(ctx context.Context, cfg logdriver.ReadConfig) *logdriver.LogWatcher {
	if m.read == nil {
		panic("boom")
	}
	w := logdriver.NewLogWatcher()
	go func() {
		defer close(w.Msg)
		m.read(ctx, cfg, w)
	}()
	return w
}

func lines(n int) func(context.Context, logdriver.ReadConfig, *logdriver.LogWatcher) {
	return func(ctx context.Context, _ logdriver.ReadConfig, w *logdriver.LogWatcher) {
		for i := range n {
			m := logdriver.NewMessage()
			m.Line = fmt.Appendf(m.Line, "line %d\n", i+1)
			if !w.Send(ctx, m) {
				return
			}
		}
	}
}

func readable(loggers ...logdriver.Logger) Driver {
	d := driverOf(loggers...)
	d.Description.Capability.ReadLogs = true
	return d
}

// readAll returns copies of what is read, and the error that it ends with.
func (p *peer) readAll(req *pb.ReadLogsRequest) ([]*logdriver.Message, error) {
	p.t.Helper()
	st, err := p.client.ReadLogs(p.ctx(), req)
	if err != nil {
		p.t.Fatal(err)
	}
	var msgs []*logdriver.Message
	var dec wire.Decoder
	for {
		var resp wire.ReadLogsResponse
		if err := st.RecvMsg(&resp); err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return msgs, wire.FromStatus("test", err)
		}
		for {
			m := new(logdriver.Message)
			ok, err := resp.Next(&dec, m)
			if err != nil {
				p.t.Fatal(err)
			}
			if !ok {
				break
			}
			msgs = append(msgs, m)
		}
		resp.Free()
	}
}

func byLogger(id uint64) *pb.ReadLogsRequest {
	return &pb.ReadLogsRequest{Log: &pb.ReadLogsRequest_Logger{Logger: id}}
}

func byInfo(info logdriver.Info, cfg logdriver.ReadConfig) *pb.ReadLogsRequest {
	return &pb.ReadLogsRequest{
		Log:    &pb.ReadLogsRequest_Info{Info: wire.InfoToProto(&info)},
		Config: wire.ReadConfigToProto(cfg),
	}
}

func TestReadLogs(t *testing.T) {
	const n = 10_000
	p := serve(t, Config{Driver: readable(&memory{read: lines(n)})})
	msgs, err := p.readAll(byLogger(p.open(logdriver.Info{}).GetLogger()))
	if err != nil || len(msgs) != n {
		t.Fatalf("%d messages, %v", len(msgs), err)
	}
	for i, m := range msgs {
		if want := fmt.Sprintf("line %d\n", i+1); string(m.Line) != want {
			t.Fatalf("message %d is %q", i, m.Line)
		}
	}
}

func TestReadLogsErrorComesAfterTheMessages(t *testing.T) {
	p := serve(t, Config{Driver: readable(&memory{read: func(ctx context.Context, c logdriver.ReadConfig, w *logdriver.LogWatcher) {
		lines(3)(ctx, c, w)
		w.Fail(fmt.Errorf("segment 7: %w", logdriver.ErrGap))
	}})})
	msgs, err := p.readAll(byLogger(p.open(logdriver.Info{}).GetLogger()))
	if len(msgs) != 3 || !errors.Is(err, logdriver.ErrGap) || !strings.Contains(err.Error(), "segment 7") {
		t.Errorf("%d messages, %v", len(msgs), err)
	}
}

func TestReadLogsRefusals(t *testing.T) {
	p := serve(t, Config{Driver: driverOf(new(sink))})
	if _, err := p.readAll(byLogger(p.open(logdriver.Info{}).GetLogger())); !errors.Is(err, logdriver.ErrReadLogsNotSupported) {
		t.Errorf("err = %v", err)
	}
	p = serve(t, Config{Driver: readable(new(memory))})
	if _, err := p.readAll(byLogger(99)); !errors.Is(err, wire.ErrUnknownLogger) {
		t.Errorf("err = %v", err)
	}
	if _, err := p.readAll(byLogger(p.open(logdriver.Info{}).GetLogger())); !errors.Is(err, wire.ErrPanic) {
		t.Errorf("err = %v", err)
	}
}

func TestReadLogsOfALogThatIsNotOpen(t *testing.T) {
	var cfg logdriver.ReadConfig
	m := &memory{}
	m.read = func(ctx context.Context, c logdriver.ReadConfig, w *logdriver.LogWatcher) {
		cfg = c
		lines(2)(ctx, c, w)
	}
	p := serve(t, Config{Driver: readable(m)})
	msgs, err := p.readAll(byInfo(logdriver.Info{ContainerID: "gone"}, logdriver.ReadConfig{Tail: 2, Follow: true}))
	if err != nil || len(msgs) != 2 || cfg.Follow || cfg.Tail != 2 {
		t.Errorf("%d messages, %v, %+v", len(msgs), err, cfg)
	}
	if m.timesClosed() != 1 {
		t.Errorf("the temporary logger was closed %d times", m.timesClosed())
	}

	// An open logger of the same log is used as it is.
	info := logdriver.Info{ContainerID: "here", Config: map[string]string{"a": "b"}}
	p.open(info)
	if _, err := p.readAll(byInfo(info, logdriver.ReadConfig{Follow: true})); err != nil || !cfg.Follow || m.timesClosed() != 1 {
		t.Errorf("%v, %+v, closed %d times", err, cfg, m.timesClosed())
	}
}

// Some drivers tell logs without an ID apart by name.
func TestReadLogsOfALogWithoutID(t *testing.T) {
	open, closed := &memory{read: lines(1)}, &memory{read: lines(2)}
	p := serve(t, Config{Driver: readable(open, closed)})
	p.open(logdriver.Info{ContainerName: "/open"})
	for name, want := range map[string]int{"/open": 1, "/closed": 2} {
		msgs, err := p.readAll(byInfo(logdriver.Info{ContainerName: name}, logdriver.ReadConfig{Tail: -1}))
		if err != nil || len(msgs) != want {
			t.Errorf("%s: %d messages, %v; want %d", name, len(msgs), err, want)
		}
	}
}

// The host learns that a reading has begun also if there is nothing to read for long.
func TestReadLogsWithoutMessagesHasHeaders(t *testing.T) {
	for _, follow := range []bool{false, true} {
		p := serve(t, Config{Driver: readable(&memory{read: func(ctx context.Context, _ logdriver.ReadConfig, w *logdriver.LogWatcher) {
			<-ctx.Done()
		}})})
		ctx, cancel := context.WithCancel(p.ctx())
		req := byLogger(p.open(logdriver.Info{}).GetLogger())
		req.Config = wire.ReadConfigToProto(logdriver.ReadConfig{Tail: -1, Follow: follow})
		st, err := p.client.ReadLogs(ctx, req)
		if err != nil {
			t.Fatal(err)
		}
		if md, err := st.Header(); err != nil || md == nil {
			t.Errorf("follow %v: headers %v, %v", follow, md, err)
		}
		cancel()
	}
}

func TestReadLogsWithOpenReader(t *testing.T) {
	d := readable(new(memory))
	r := &memory{read: lines(2)}
	d.OpenReader = func(_ context.Context, info logdriver.Info) (logdriver.LogReader, error) {
		if info.ContainerID == "" {
			return nil, logdriver.ErrNoLog
		}
		return r, nil
	}
	p := serve(t, Config{Driver: d})
	msgs, err := p.readAll(byInfo(logdriver.Info{ContainerID: "x"}, logdriver.ReadConfig{Tail: -1}))
	if err != nil || len(msgs) != 2 || r.timesClosed() != 1 {
		t.Errorf("%d messages, %v, closed %d times", len(msgs), err, r.timesClosed())
	}
	if _, err := p.readAll(byInfo(logdriver.Info{}, logdriver.ReadConfig{})); !errors.Is(err, logdriver.ErrNoLog) {
		t.Errorf("err = %v", err)
	}
}

func TestReadLogsEndsWithItsClient(t *testing.T) {
	ended := make(chan struct{})
	p := serve(t, Config{Driver: readable(&memory{read: func(ctx context.Context, c logdriver.ReadConfig, w *logdriver.LogWatcher) {
		defer close(ended)
		lines(20_000)(ctx, c, w)
		select {
		case <-w.WatchClose():
		case <-ctx.Done():
		}
	}})})
	ctx, cancel := context.WithCancel(context.Background())
	st, err := p.client.ReadLogs(ctx, byLogger(p.open(logdriver.Info{}).GetLogger()))
	if err != nil {
		t.Fatal(err)
	}
	var resp wire.ReadLogsResponse
	if err := st.RecvMsg(&resp); err != nil {
		t.Fatal(err)
	}
	resp.Free()
	cancel()
	await(t, ended, "the reader to end")
	for {
		if err := st.RecvMsg(&resp); err != nil {
			if status.Code(err) != codes.Canceled {
				t.Errorf("err = %v", err)
			}
			break
		}
		resp.Free()
	}
}

func TestReadLogsSplitsWhatIsTooLong(t *testing.T) {
	line := strings.Repeat("0123456789abcdef", 10<<20/16) + "\n"
	p := serve(t, Config{Driver: readable(&memory{read: func(ctx context.Context, _ logdriver.ReadConfig, w *logdriver.LogWatcher) {
		m := logdriver.NewMessage()
		m.Line = append(m.Line, line...)
		m.Timestamp = time.Unix(1, 0)
		for i := range logdriver.MaxAttrs + 1 {
			m.Attrs = append(m.Attrs, logdriver.Attr{Key: fmt.Sprint(i)})
		}
		w.Send(ctx, m)
	}})})
	msgs, err := p.readAll(byLogger(p.open(logdriver.Info{}).GetLogger()))
	if err != nil {
		t.Fatal(err)
	}
	if msgs[0].Err == nil || !strings.Contains(msgs[0].Err.Error(), "attributes") {
		t.Errorf("what was left out is not reported: %+v", msgs[0])
	}
	var got strings.Builder
	for i, m := range msgs[1:] {
		if m.Partial.Ordinal != i+1 || m.Partial.Last != (i == len(msgs)-2) {
			t.Errorf("part %d is %+v", i, m.Partial)
		}
		got.Write(m.Line)
	}
	if got.String() != line {
		t.Error("the parts do not make up the line")
	}
}
