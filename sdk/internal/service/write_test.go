package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/logplug/logplug/sdk/internal/redact"
	"github.com/logplug/logplug/shared/logdriver"
	pb "github.com/logplug/logplug/shared/proto/logplug/v1"
	"github.com/logplug/logplug/shared/wire"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func numbered(from, to int) []string {
	var lines []string
	for i := from; i <= to; i++ {
		lines = append(lines, fmt.Sprintf("line %d", i))
	}
	return lines
}

func expect(t *testing.T, s *sink, want []string) {
	t.Helper()
	if got := s.got(); !slices.Equal(got, want) {
		t.Errorf("the sink has %d lines: %.300q\nwant %d: %.300q", len(got), got, len(want), want)
	}
}

func TestWriteStoresAndAcknowledges(t *testing.T) {
	a, b := new(sink), new(sink)
	p := serve(t, Config{Driver: driverOf(a, b)})
	la, lb := p.open(logdriver.Info{}), p.open(logdriver.Info{})
	if la.GetLogger() != 1 || lb.GetLogger() != 2 || la.GetWindowBytes() != DefaultWindowBytes {
		t.Errorf("opened %v and %v", la, lb)
	}
	w := p.write()
	w.send(span{1, 1, numbered(1, 3)}, span{2, 1, numbered(1, 1)})
	w.send(span{1, 4, numbered(4, 5)})
	w.untilAcked(1, 5)
	w.untilAcked(2, 1)
	expect(t, a, numbered(1, 5))
	expect(t, b, numbered(1, 1))
	if err := p.close(1); err != nil {
		t.Error(err)
	}
	if a.timesClosed() != 1 || b.timesClosed() != 0 {
		t.Errorf("closed %d and %d times", a.timesClosed(), b.timesClosed())
	}
	if err := p.close(1); !errors.Is(err, wire.ErrUnknownLogger) {
		t.Errorf("closing twice: %v", err)
	}
	// What is late for a closed logger harms nobody.
	w.send(span{1, 6, numbered(6, 6)}, span{99, 1, numbered(1, 1)}, span{2, 2, numbered(2, 2)})
	w.untilAcked(2, 2)
	expect(t, a, numbered(1, 5))
}

func TestWriteManyBatchesKeepOrder(t *testing.T) {
	s := new(sink)
	p := serve(t, Config{Driver: driverOf(s)})
	id := p.open(logdriver.Info{}).GetLogger()
	w := p.write()
	const n = 20_000
	for i := 1; i <= n; i += 100 {
		w.send(span{id, uint64(i), numbered(i, i+99)})
		w.until("room in the window", func() bool { return uint64(i) < w.acked[id]+10_000 })
	}
	if err := w.stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if err := w.wait(); err != nil {
		t.Fatal(err)
	}
	if w.acked[id] != n {
		t.Errorf("the stream ended with %d acknowledged, want %d", w.acked[id], n)
	}
	expect(t, s, numbered(1, n))
	for i, seq := range s.seqs {
		if seq != uint64(i+1) {
			t.Fatalf("message %d has sequence %d", i+1, seq)
		}
	}
}

func TestDuplicatesAreSkippedAndAcknowledgedAgain(t *testing.T) {
	s := &sequencedSink{last: 2}
	p := serve(t, Config{Driver: driverOf(s)})
	resp := p.open(logdriver.Info{})
	if resp.GetLastSeq() != 2 {
		t.Errorf("last_seq = %d", resp.GetLastSeq())
	}
	id := resp.GetLogger()
	w := p.write()
	w.send(span{id, 1, numbered(1, 4)})
	w.untilAcked(id, 4)
	w.cancel()
	<-w.done

	// A new stream hears at once how far the logger got, and again for
	// whatever is sent twice.
	w = p.write()
	w.untilAcked(id, 4)
	w.send(span{id, 2, numbered(2, 5)})
	w.untilAcked(id, 5)
	before := w.responses()
	w.send(span{id, 1, numbered(1, 5)})
	w.until("another ack", func() bool { return w.sends > before })
	expect(t, &s.sink, numbered(3, 5))
}

type sequencedSink struct {
	sink
	last uint64
}

func (s *sequencedSink) LastSeq() uint64 { return s.last }

func TestWindow(t *testing.T) {
	release := make(chan struct{})
	s := &sink{onBatch: func(context.Context, []*logdriver.Message) error { <-release; return nil }}
	defer close(release)
	p := serve(t, Config{Driver: driverOf(s), WindowBytes: 1000})
	id := p.open(logdriver.Info{}).GetLogger()
	long := strings.Repeat("x", 5000)

	// One message alone may be larger than the window.
	w := p.write()
	w.send(span{id, 1, []string{long}})
	w.send(span{id, 2, []string{"one too many"}})
	err := w.wait()
	if status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), "logger 1") {
		t.Errorf("err = %v", err)
	}

	// Two may not.
	id = p.open(logdriver.Info{}).GetLogger()
	w = p.write()
	w.send(span{id, 1, []string{long, "x"}})
	if err := w.wait(); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("err = %v", err)
	}
}

func TestMalformedRequestsEndTheStream(t *testing.T) {
	p := serve(t, Config{Driver: driverOf(new(sink))})
	id := p.open(logdriver.Info{}).GetLogger()
	for name, s := range map[string]span{
		"sequence 0": {id, 0, numbered(1, 1)},
		"overflow":   {id, math.MaxUint64, numbered(1, 2)},
	} {
		t.Run(name, func(t *testing.T) {
			w := p.write()
			w.send(s)
			if err := w.wait(); status.Code(err) != codes.InvalidArgument {
				t.Errorf("err = %v", err)
			}
		})
	}
}

func TestMalformedEntryFailsAlone(t *testing.T) {
	s := new(sink)
	p := serve(t, Config{Driver: driverOf(s)})
	id := p.open(logdriver.Info{}).GetLogger()
	w := p.write()
	var body []byte
	body = wire.AppendEntry(body, &logdriver.Message{Line: []byte("a")})
	body = append(body, 3<<3|2, 2, 3<<3|2, 100) // an entry whose line exceeds it
	body = wire.AppendEntry(body, &logdriver.Message{Line: []byte("c")})
	var req wire.WriteRequest
	req.AppendBatch(id, 1, body)
	if err := w.stream.SendMsg(&req); err != nil {
		t.Fatal(err)
	}
	w.untilAcked(id, 3)
	expect(t, s, []string{"a", "c"})
	if f := w.failures[id]; len(f) != 1 || f[0].Seq != 2 || !strings.Contains(f[0].Reason, "malformed") {
		t.Errorf("failures = %v", f)
	}
}

func TestBlockedIsShownAndClears(t *testing.T) {
	var failing atomic.Bool
	failing.Store(true)
	s := &sink{onBatch: func(context.Context, []*logdriver.Message) error {
		if failing.Load() {
			return errors.New("no space left, token hunter2")
		}
		return nil
	}}
	d := driverOf(s, new(sink))
	d.Secrets = func(map[string]string) []string { return []string{"hunter2"} }
	p := serve(t, Config{Driver: d})
	id, other := p.open(logdriver.Info{}).GetLogger(), p.open(logdriver.Info{}).GetLogger()
	w := p.write()
	w.send(span{id, 1, numbered(1, 2)})
	w.until("blocked", func() bool { return w.blocked[id] == "no space left, token "+redact.Mask })
	// Others go on, and what arrives meanwhile joins the next attempt.
	w.send(span{other, 1, numbered(1, 1)}, span{id, 3, numbered(3, 4)})
	w.untilAcked(other, 1)
	failing.Store(false)
	w.untilAcked(id, 4)
	w.until("the block to clear", func() bool { return w.blocked[id] == "" })
	expect(t, s, numbered(1, 4))
}

func TestBatchErrors(t *testing.T) {
	permanent := logdriver.Permanent(errors.New("too old"))
	for _, tc := range []struct {
		name     string
		err      func(call int, s *sink, msgs []*logdriver.Message) error
		stored   []string
		failures []uint64
	}{
		{"settled in part, then the rest", func(call int, s *sink, msgs []*logdriver.Message) error {
			if call > 1 {
				return nil
			}
			s.keep(msgs[:2])
			return &logdriver.BatchError{Done: 2, Err: errors.New("later")}
		}, numbered(1, 5), nil},
		{"rejected in the middle", func(_ int, s *sink, msgs []*logdriver.Message) error {
			s.keep(slices.Concat(msgs[:1], msgs[2:]))
			return &logdriver.BatchError{Done: 5, Rejected: map[int]error{1: permanent, 17: permanent}}
		}, []string{"line 1", "line 3", "line 4", "line 5"}, []uint64{2}},
		{"a permanent error is for the whole batch", func(int, *sink, []*logdriver.Message) error {
			return permanent
		}, nil, []uint64{1, 2, 3, 4, 5}},
		{"a permanent error is for the rest", func(_ int, s *sink, msgs []*logdriver.Message) error {
			s.keep(msgs[:3])
			return &logdriver.BatchError{Done: 3, Err: permanent}
		}, numbered(1, 3), []uint64{4, 5}},
		{"nonsense counts as no progress", func(call int, _ *sink, _ []*logdriver.Message) error {
			if call > 2 {
				return nil
			}
			return &logdriver.BatchError{Done: -3}
		}, numbered(1, 5), nil},
		{"the driver changes what it was handed", func(call int, _ *sink, msgs []*logdriver.Message) error {
			if call > 1 {
				return nil
			}
			slices.Reverse(msgs)
			for _, m := range msgs {
				m.Line = append(m.Line, '\n')
				m.Seq = 0
			}
			return errors.New("later")
		}, numbered(1, 5), nil},
		{"a panic is tried again", func(call int, _ *sink, _ []*logdriver.Message) error {
			if call == 1 {
				panic("boom")
			}
			return nil
		}, numbered(1, 5), nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := new(sink)
			call := 0
			s.onBatch = func(_ context.Context, msgs []*logdriver.Message) error {
				call++
				return tc.err(call, s, msgs)
			}
			p := serve(t, Config{Driver: driverOf(s)})
			id := p.open(logdriver.Info{}).GetLogger()
			w := p.write()
			w.send(span{id, 1, numbered(1, 5)})
			w.untilAcked(id, 5)
			expect(t, s, tc.stored)
			var failed []uint64
			for _, f := range w.failures[id] {
				failed = append(failed, f.Seq)
			}
			if !slices.Equal(failed, tc.failures) {
				t.Errorf("failures = %v, want %v", w.failures[id], tc.failures)
			}
		})
	}
}

// TestPanicIsLoggedOnceAMessage: it takes several panics to find the message that
// is to blame, and one stack to tell why.
func TestPanicIsLoggedOnceAMessage(t *testing.T) {
	s := new(sink)
	s.onBatch = func(_ context.Context, msgs []*logdriver.Message) error {
		for _, m := range msgs {
			switch string(m.Line) {
			case "line 7", "line 71":
				panic("indigestible")
			case "line 30":
				var none *sink
				none.closed++
			}
		}
		return nil
	}
	var log syncBuffer
	p := serve(t, Config{Driver: driverOf(s), Log: slog.New(slog.NewTextHandler(&log, nil))})
	id := p.open(logdriver.Info{}).GetLogger()
	w := p.write()
	w.send(span{id, 1, numbered(1, 100)})
	w.untilAcked(id, 100)
	w.mu.Lock()
	failures := len(w.failures[id])
	w.mu.Unlock()
	if failures != 3 {
		t.Errorf("%d messages were rejected, want 3", failures)
	}
	if n := strings.Count(log.String(), "stack="); n != 3 {
		t.Errorf("%d stacks are in the log, want one for each of the 3 messages:\n%s", n, log.String())
	}
}

func TestManyFailuresComeInOrder(t *testing.T) {
	s := new(sink)
	s.onBatch = func(context.Context, []*logdriver.Message) error {
		return logdriver.Permanent(errors.New(strings.Repeat("no ", 300)))
	}
	p := serve(t, Config{Driver: driverOf(s)})
	id := p.open(logdriver.Info{}).GetLogger()
	w := p.write()
	const n = 1000
	w.send(span{id, 1, numbered(1, n)})
	w.untilAcked(id, n)
	if len(w.failures[id]) != n {
		t.Fatalf("%d failures, want %d", len(w.failures[id]), n)
	}
	for i, f := range w.failures[id] {
		if f.Seq != uint64(i+1) {
			t.Fatalf("failure %d is for sequence %d", i, f.Seq)
		}
	}
}

// plainSink has Log alone.
type plainSink struct {
	mu    sync.Mutex
	lines []string
	fail  func(line string) error
}

func (s *plainSink) Name() string { return "test" }
func (s *plainSink) Close() error { return nil }

func (s *plainSink) Log(m *logdriver.Message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	line := string(m.Line)
	if s.fail != nil {
		if err := s.fail(line); err != nil {
			return err
		}
	}
	s.lines = append(s.lines, line)
	logdriver.PutMessage(m)
	return nil
}

func TestLogAlone(t *testing.T) {
	attempts := 0
	s := &plainSink{fail: func(line string) error {
		switch line {
		case "line 2":
			return logdriver.Permanent(errors.New("never"))
		case "line 4":
			if attempts++; attempts == 1 {
				return errors.New("later")
			} else if attempts == 2 {
				panic("boom")
			}
		}
		return nil
	}}
	p := serve(t, Config{Driver: driverOf(s)})
	id := p.open(logdriver.Info{}).GetLogger()
	w := p.write()
	w.send(span{id, 1, numbered(1, 5)})
	w.untilAcked(id, 5)
	if want := []string{"line 1", "line 3", "line 4", "line 5"}; !slices.Equal(s.lines, want) {
		t.Errorf("lines = %q", s.lines)
	}
	if f := w.failures[id]; len(f) != 1 || f[0] != (wire.Failure{Seq: 2, Reason: "never"}) {
		t.Errorf("failures = %v", f)
	}
}

func TestHeldMessagesAreOfferedAgain(t *testing.T) {
	var urgencies []Urgency
	s := new(sink)
	s.onBatch = func(ctx context.Context, msgs []*logdriver.Message) error {
		urgencies = append(urgencies, UrgencyOf(ctx))
		if len(msgs) < 2 && UrgencyOf(ctx) == Routine {
			return &logdriver.BatchError{Err: ErrHold}
		}
		return nil
	}
	p := serve(t, Config{Driver: driverOf(s)})
	id := p.open(logdriver.Info{}).GetLogger()
	w := p.write()
	w.send(span{id, 1, numbered(1, 1)})
	w.send(span{id, 2, numbered(2, 2)})
	w.untilAcked(id, 2)
	w.send(span{id, 3, numbered(3, 3)})
	w.untilAcked(id, 3) // it is overdue at some time
	w.send(span{id, 4, numbered(4, 4)})
	w.send(span{id, 5, numbered(5, 6)}) // does not overtake
	w.untilAcked(id, 6)
	if err := p.close(id); err != nil {
		t.Fatal(err)
	}
	expect(t, s, numbered(1, 6))
	if !slices.Contains(urgencies, Overdue) {
		t.Errorf("urgencies = %v", urgencies)
	}
}

func TestSecondStreamReplacesTheFirst(t *testing.T) {
	s := new(sink)
	p := serve(t, Config{Driver: driverOf(s)})
	id := p.open(logdriver.Info{}).GetLogger()
	first := p.write()
	first.send(span{id, 1, numbered(1, 1)})
	first.untilAcked(id, 1)
	second := p.write()
	second.send(span{id, 2, numbered(2, 2)})
	second.untilAcked(id, 2)
	first.send(span{id, 3, numbered(3, 3)})
	if err := first.wait(); status.Code(err) != codes.Aborted {
		t.Errorf("the first stream ended with %v", err)
	}
	second.send(span{id, 3, numbered(3, 4)})
	second.untilAcked(id, 4)
	expect(t, s, numbered(1, 4))
}

// stuckStream is a Write stream whose client takes nothing.
type stuckStream struct {
	ctx     context.Context
	request *wire.WriteRequest // the first one
	sending chan wire.WriteResponse
}

func (s *stuckStream) Context() context.Context { return s.ctx }

func (s *stuckStream) RecvMsg(m any) error {
	if req := s.request; req != nil {
		s.request = nil
		codec := wire.NewCodec()
		data, err := codec.Marshal(req)
		return errors.Join(err, codec.Unmarshal(data, m))
	}
	<-s.ctx.Done()
	return s.ctx.Err()
}

func (s *stuckStream) SendMsg(m any) error {
	s.sending <- wire.WriteResponse{Acks: slices.Clone(m.(*wire.WriteResponse).Acks)}
	<-s.ctx.Done()
	return s.ctx.Err()
}

// A failure that a stream could not carry any more is told on the next one with the
// acknowledgement that settles its message, not after it.
func TestFailuresOfAStuckStream(t *testing.T) {
	s := &sink{onBatch: func(context.Context, []*logdriver.Message) error {
		return logdriver.Permanent(errors.New("never"))
	}}
	p := serve(t, Config{Driver: driverOf(s)})
	id := p.open(logdriver.Info{}).GetLogger()
	ctx, cancel := context.WithCancel(context.Background())
	stuck := &stuckStream{ctx, new(wire.WriteRequest), make(chan wire.WriteResponse, 10)}
	stuck.request.AppendBatch(id, 1, wire.AppendEntry(nil, &logdriver.Message{Line: []byte("x")}))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = p.svc.write(stuck, nil)
	}()
	defer func() { cancel(); <-ended }()
	select {
	case resp := <-stuck.sending:
		if len(resp.Acks) != 1 || len(resp.Acks[0].Failures) != 1 {
			t.Fatalf("acks = %+v", resp.Acks)
		}
	case <-time.After(patience):
		t.Fatal("no acknowledgement")
	}
	w := p.write()
	w.untilAcked(id, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if f := w.failures[id]; len(f) != 1 || f[0].Seq != 1 {
		t.Errorf("message 1 was acknowledged as stored: failures = %v", f)
	}
}

func TestAThousandLoggers(t *testing.T) {
	const n = 1000
	loggers := make([]logdriver.Logger, n)
	for i := range loggers {
		loggers[i] = new(sink)
	}
	p := serve(t, Config{Driver: driverOf(loggers...)})
	var spans []span
	for range loggers {
		spans = append(spans, span{p.open(logdriver.Info{}).GetLogger(), 1, numbered(1, 3)})
	}
	w := p.write()
	w.send(spans...)
	w.until("all acks", func() bool {
		for _, s := range spans {
			if w.acked[s.logger] != 3 {
				return false
			}
		}
		return true
	})
	if sends := w.responses(); sends > n/2 {
		t.Errorf("%d responses carried the acks of %d loggers", sends, n)
	}
	// A worker ends after its acknowledgement has left.
	p.untilIdle()
	for _, l := range p.svc.all() {
		l.mu.Lock()
		if l.queue != nil || l.working || l.bytes != 0 {
			t.Errorf("logger %d is not idle", l.id)
		}
		l.mu.Unlock()
	}
	if _, err := p.client.Drain(p.ctx(), &pb.DrainRequest{}); err != nil {
		t.Fatal(err)
	}
	for _, l := range loggers {
		expect(t, l.(*sink), numbered(1, 3))
		if l.(*sink).timesClosed() != 1 {
			t.Error("not closed")
		}
	}
	if _, err := p.client.Open(p.ctx(), &pb.OpenRequest{}); status.Code(err) != codes.Unavailable {
		t.Errorf("open after drain: %v", err)
	}
}
