package host

import (
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/logplug/logplug/host/internal/spool"
	"github.com/logplug/logplug/shared/logdriver"
	"github.com/logplug/logplug/shared/wire"
)

// fakePrompt is a stream on which nobody waits: it takes what is sent, and has what a test lets
// the driver answer.
type fakePrompt struct {
	sent    []int // bytes of requests
	asked   int   // empty requests
	last    uint64
	answers []wire.WriteResponse
}

func (p *fakePrompt) SendMsg(m any) error { return p.SendNow(m) }

func (p *fakePrompt) SendNow(request any) error {
	m := request.(*wire.WriteRequest)
	if m.Len() == 0 {
		p.asked++
		return nil
	}
	p.sent = append(p.sent, m.Len())
	codec := wire.NewCodec()
	data, err := codec.Marshal(m)
	if err != nil {
		return err
	}
	defer data.Free()
	var in wire.WriteRequest
	defer in.Free()
	if err := codec.Unmarshal(data, &in); err != nil {
		return err
	}
	for b, err := range in.Batches() {
		if err != nil {
			return err
		}
		p.last = b.FirstSeq + uint64(b.Count) - 1
	}
	return nil
}

func (p *fakePrompt) RecvMsg(m any) error {
	if len(p.answers) == 0 {
		return io.EOF
	}
	*m.(*wire.WriteResponse) = p.answers[0]
	p.answers = p.answers[1:]
	return nil
}

func (p *fakePrompt) Unfinished() bool { return false }
func (p *fakePrompt) Finish() error    { return nil }
func (p *fakePrompt) AwaitMsg() error  { select {} }
func (p *fakePrompt) ReadAhead() bool  { return len(p.answers) > 0 }
func (p *fakePrompt) AtHand() bool     { return len(p.answers) > 0 }

// promptLogger is a logger of a session whose goroutines do not get to run.
func promptLogger(t *testing.T, window int, change func(*request)) (*logger, *fakePrompt) {
	t.Helper()
	d := fakeDriver(t, spool.Memory{})
	s, p := fakeSession(t, d, &fakeProcess{open: opens(1)}), new(fakePrompt)
	s.sender.prompt, s.stream = p, p
	// No messages leave alone.
	s.linger, s.timer = linger{max: time.Hour, period: 1, sated: time.Now().Add(time.Hour)}, time.NewTimer(time.Hour)
	t.Cleanup(func() { s.timer.Stop() })
	l := fakeLogger(d, "c", change)
	if err := s.adopt(t.Context(), l, opened{id: 1, window: window}); err != nil {
		t.Fatal(err)
	}
	return l, p
}

// logMuch logs lines of a size until so many bytes are accepted.
func logMuch(t *testing.T, l *logger, size, total int) {
	t.Helper()
	for n := 0; n < total; n += size {
		m := logdriver.NewMessage()
		m.Line = append(m.Line, strings.Repeat("x", size)...)
		m.Source, m.Timestamp = "stdout", time.Unix(1, 0)
		if err := l.Log(m); err != nil {
			t.Fatal(err)
		}
	}
}

// TestWhoLogsSendsMuch: full requests leave from Log, also where the goroutine that is for that
// finds no processor; what is left waits.
func TestWhoLogsSendsMuch(t *testing.T) {
	l, p := promptLogger(t, 64<<20, nil)
	logMuch(t, l, 100, 2<<20)
	full := 0
	for _, n := range p.sent {
		if n >= fullBytes {
			full++
		}
	}
	if full < 7 || len(p.sent) > full {
		t.Errorf("2 MiB were sent as %d", p.sent)
	}
	if l.unsent() >= pressBytes {
		t.Errorf("%d bytes were not sent", l.unsent())
	}
	if got := l.session.linger.limit(); got != restTime {
		t.Errorf("the rest waits for %v", got)
	}
}

// TestSmallBuffersLeaveInTime: messages that wait for others leave before a small buffer is full.
func TestSmallBuffersLeaveInTime(t *testing.T) {
	const buffer = 128 << 10
	l, p := promptLogger(t, 64<<20, func(r *request) { r.overflow = overflow{drop: dropNewest, bytes: buffer} })
	l.session.linger.filled(time.Now())
	logMuch(t, l, 100, buffer*6/10)
	if dropped := l.Stats().Dropped.Messages; dropped > 0 || len(p.sent) == 0 {
		t.Errorf("%d messages were dropped, sent were %d", dropped, p.sent)
	}
}

// TestTurns: no logger has a second turn before all that wait have had one.
func TestTurns(t *testing.T) {
	first, p := promptLogger(t, 64<<20, nil)
	s := first.session
	loggers := []*logger{first}
	for id := uint64(2); id <= 8; id++ {
		l := fakeLogger(s.driver, "c", nil)
		if err := s.adopt(t.Context(), l, opened{id: id, window: 64 << 20}); err != nil {
			t.Fatal(err)
		}
		loggers = append(loggers, l)
	}
	s.linger.filled(time.Now())
	for _, l := range loggers {
		logMuch(t, l, 100, pressBytes*3/4)
	}
	if len(p.sent) > 0 {
		t.Fatalf("sent were %d", p.sent)
	}
	had := make(map[*logger]int) // bytes
	for len(had) < len(loggers) {
		if sent, ok := s.sendHere(false); !ok || sent < fullBytes {
			t.Fatalf("%d bytes were sent after %d loggers had a turn", sent, len(had))
		}
		second := false
		for _, l := range loggers {
			second = second || had[l] > 0 && l.inflight > had[l]
			if l.inflight > 0 {
				had[l] = l.inflight
			}
		}
		if second && len(had) < len(loggers) {
			t.Errorf("a second turn when %d loggers had theirs", len(had))
		}
	}
}

// TestHeavyMessagesAreTheSenders: who logs large messages does not send them, too.
func TestHeavyMessagesAreTheSenders(t *testing.T) {
	l, p := promptLogger(t, 64<<20, nil)
	logMuch(t, l, heavyBytes+1, 2<<20)
	if len(p.sent) > 0 {
		t.Errorf("sent from Log: %d", p.sent)
	}
	if len(l.session.wake) == 0 {
		t.Error("the sender was not told")
	}
}

// TestWhoLogsSettles: what the driver has acknowledged is settled from Log, also where the goroutine
// that is for that finds no processor. What the driver rejects is not.
func TestWhoLogsSettles(t *testing.T) {
	l, p := promptLogger(t, 64<<20, nil)
	logMuch(t, l, 100, 1<<20)
	p.answers = []wire.WriteResponse{{Acks: []wire.Ack{{Logger: 1, Seq: 100}}}, {Acks: []wire.Ack{{Logger: 1, Seq: p.last}, {Logger: 99, Seq: 1}}}}
	last := p.last
	logMuch(t, l, 100, pressBytes)
	if got := l.queue.Acked(); got != last {
		t.Errorf("settled up to %d, acknowledged up to %d", got, last)
	}

	s := l.session
	letters := &letters{path: filepath.Join(t.TempDir(), deadLettersFile), limit: 1 << 20, log: l.driver.log}
	l.driver.host.letters = letters
	p.answers = []wire.WriteResponse{
		{Acks: []wire.Ack{{Logger: 1, Seq: last + 1, Failures: []wire.Failure{{Seq: last + 1, Reason: "no"}}}}},
		{Acks: []wire.Ack{{Logger: 1, Seq: last + 2}}}, // which nobody sees who waits for more
	}
	letters.mu.Lock() // whoever writes the letter has to wait
	s.receiveHere()
	letters.mu.Unlock()
	s.receiver.mu.Lock() // which others have until then
	defer s.receiver.mu.Unlock()
	if got := l.Stats(); got.Failed.Messages != 1 {
		t.Errorf("%d messages have failed, want 1", got.Failed.Messages)
	}
	if got := l.queue.Acked(); got != last+2 {
		t.Errorf("settled up to %d, acknowledged up to %d", got, last+2)
	}
}

// TestWindowIsNotUsedInBits: where the rest of a window is small, and more than that waits, nothing
// is sent before the driver has acknowledged more.
func TestWindowIsNotUsedInBits(t *testing.T) {
	const window = 1 << 20
	l, p := promptLogger(t, window, nil)
	logMuch(t, l, 100, 2*window)
	if l.inflight < window*3/4 || l.inflight > window {
		t.Fatalf("%d bytes are on their way, the window is %d", l.inflight, window)
	}
	sent, acked := len(p.sent), uint64(0)
	for len(p.sent) == sent {
		acked += 10
		p.answers = []wire.WriteResponse{{Acks: []wire.Ack{{Logger: 1, Seq: acked}}}}
		l.session.receiveHere()
		if l.queued {
			break
		}
		if l.inflight < window/2 {
			t.Fatal("nothing is sent although half of the window is free")
		}
	}
	if room := window - l.inflight; room < window/4 {
		t.Errorf("sends with %d bytes of a window of %d", room, window)
	}
}
