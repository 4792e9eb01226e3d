package sdk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/logplug/logplug/sdk/internal/service"
	"github.com/logplug/logplug/shared/logdriver"
)

func whole(seq uint64, source, line string) *logdriver.Message {
	return &logdriver.Message{Seq: seq, Source: source, Line: []byte(line)}
}

func part(seq uint64, source, id string, ordinal int, last bool, line string) *logdriver.Message {
	m := whole(seq, source, line)
	m.Partial = logdriver.Partial{ID: id, Ordinal: ordinal, Last: last}
	return m
}

// show writes a message in short: its line, and its place if it is a part.
func show(m *logdriver.Message) string {
	s := string(m.Line)
	if m.Partial.IsPartial() {
		s += fmt.Sprintf("(%s %d", m.Partial.ID, m.Partial.Ordinal)
		if m.Partial.Last {
			s += " last"
		}
		s += ")"
	}
	return s
}

func TestAssembler(t *testing.T) {
	a := NewAssembler(8)
	var got []string
	emit := func(m *logdriver.Message) { got = append(got, show(m)) }
	for _, m := range []*logdriver.Message{
		part(1, "out", "x", 1, false, "ab"),
		whole(2, "err", "whole"),
		part(3, "err", "x", 1, false, "12"),
		part(4, "out", "x", 2, true, "cd"),
		part(5, "err", "x", 2, true, "34"),
		part(6, "out", "y", 1, false, "12345"),
		part(7, "out", "y", 2, false, "67890"),
		part(8, "out", "y", 3, true, "end"),
		part(9, "out", "z", 3, true, "tail"),
		part(10, "out", "w", 1, false, "rest"),
	} {
		a.Add(m, emit)
	}
	a.Rest(emit)
	want := []string{"whole", "abcd", "1234", "1234567890(y 1)", "end(y 2 last)", "tail(z 3 last)", "rest(w 1)"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if a.Bytes() != 0 || len(a.lines) != 0 {
		t.Errorf("%d bytes of %d lines are left", a.Bytes(), len(a.lines))
	}
}

func TestAssemblerIsBounded(t *testing.T) {
	a := NewAssembler(1 << 10)
	for i := range 10 * maxOpenLines {
		a.Add(part(uint64(i), "out", fmt.Sprint(i), 1, false, strings.Repeat("x", 100)), func(*logdriver.Message) {})
	}
	if a.Bytes() > 1<<10 || len(a.lines) > maxOpenLines+1 || len(a.order) != len(a.lines) {
		t.Errorf("%d bytes of %d lines, %d in order", a.Bytes(), len(a.lines), len(a.order))
	}
}

// lineSink is a logger in memory; fail gives the result of a call.
type lineSink struct {
	lines  []string
	fail   func(msgs []*logdriver.Message) error
	closed bool
}

func (s *lineSink) Name() string                 { return "lines" }
func (s *lineSink) Close() error                 { s.closed = true; return nil }
func (s *lineSink) Log(*logdriver.Message) error { return errors.New("not used") }

func (s *lineSink) LogBatch(_ context.Context, msgs []*logdriver.Message) error {
	if s.fail != nil {
		if err := s.fail(msgs); err != nil {
			return err
		}
	}
	for _, m := range msgs {
		s.lines = append(s.lines, show(m))
	}
	return nil
}

// settledBy returns how many messages a LogBatch settled.
func settledBy(t *testing.T, n int, err error) int {
	t.Helper()
	var be *logdriver.BatchError
	switch {
	case err == nil:
		return n
	case errors.As(err, &be):
		if be.Done < n && be.Err == nil {
			t.Error("a part of the batch is left without a reason")
		}
		return be.Done
	}
	t.Fatalf("err = %v", err)
	return 0
}

func TestAssembleHoldsAcknowledgements(t *testing.T) {
	s := new(lineSink)
	l := Assemble(s, 0)
	msgs := []*logdriver.Message{
		whole(1, "out", "a"), part(2, "out", "x", 1, false, "b1"), whole(3, "err", "c"),
	}
	err := l.LogBatch(t.Context(), msgs)
	if n := settledBy(t, 3, err); n != 1 || !errors.Is(err, service.ErrHold) {
		t.Errorf("settled %d, %v", n, err)
	}
	// The rest is offered again with what follows; c is not stored twice.
	msgs = append(msgs[1:], part(4, "out", "x", 2, true, "b2"), whole(5, "out", "d"))
	if err := l.LogBatch(t.Context(), msgs); err != nil {
		t.Error(err)
	}
	if want := []string{"a", "c", "b1b2", "d"}; !slices.Equal(s.lines, want) {
		t.Errorf("lines = %q, want %q", s.lines, want)
	}
	if a := l.(*assembled); len(a.settled)+len(a.pieces)+len(a.cuts) != 0 {
		t.Errorf("left behind: %+v", a)
	}
}

// joined checks that the sink holds parts of one line, in order, the last one marked,
// and returns the line.
func (s *lineSink) joined(t *testing.T) string {
	t.Helper()
	var line strings.Builder
	for i, l := range s.lines {
		text, place, _ := strings.Cut(l, "(")
		line.WriteString(text)
		want := fmt.Sprintf("x %d)", i+1)
		if i == len(s.lines)-1 {
			want = fmt.Sprintf("x %d last)", i+1)
		}
		if place != want {
			t.Errorf("piece %d is marked %q", i+1, place)
		}
	}
	return line.String()
}

// A line that is longer than what may wait is stored in parts. Nothing of it is
// acknowledged before.
func TestAssembleLongLines(t *testing.T) {
	s := new(lineSink)
	l := Assemble(s, 0)
	const parts, size = 100, 16 << 10
	var pending []*logdriver.Message
	var want strings.Builder
	stored := func() (n int) {
		for _, line := range s.lines {
			text, _, _ := strings.Cut(line, "(")
			n += len(text)
		}
		return n
	}
	for i := 1; i <= parts; i++ {
		text := strings.Repeat(string(rune('a'+i%26)), size)
		want.WriteString(text)
		pending = append(pending, part(uint64(i), "out", "x", i, i == parts, text))
		pending = pending[settledBy(t, len(pending), l.LogBatch(t.Context(), pending)):]
		if len(pending)*size > holdBytes+size {
			t.Fatalf("%d parts wait for an acknowledgement", len(pending))
		}
		if acked := i - len(pending); acked*size > stored() {
			t.Fatalf("%d parts are acknowledged, and %d bytes stored", acked, stored())
		}
	}
	if len(pending) != 0 || s.joined(t) != want.String() || len(s.lines) > parts*size/holdBytes+1 {
		t.Errorf("%d pending, %d lines", len(pending), len(s.lines))
	}
}

func TestAssembleBound(t *testing.T) {
	s := new(lineSink)
	l := Assemble(s, 10)
	for i, want := range []int{0, 2, 0, 2} {
		msgs := []*logdriver.Message{part(uint64(2*i+1), "out", "x", i+1, i == 3, "123456")}
		if i%2 == 1 { // offered again
			msgs = append([]*logdriver.Message{part(uint64(2*i-1), "out", "x", i, false, "123456")}, msgs...)
		}
		if n := settledBy(t, len(msgs), l.LogBatch(t.Context(), msgs)); n != want {
			t.Fatalf("part %d: %d are settled, not %d", i+1, n, want)
		}
	}
	if got := s.joined(t); got != strings.Repeat("123456", 4) || len(s.lines) != 2 {
		t.Errorf("%q", s.lines)
	}
}

// What was to be stored of a line stays the same when that fails.
func TestAssembleFailuresToStoreParts(t *testing.T) {
	down := errors.New("down")
	offered := ""
	s := &lineSink{fail: func(msgs []*logdriver.Message) error {
		offered = ""
		for _, m := range msgs {
			offered += show(m) + ";"
		}
		return down
	}}
	l := Assemble(s, 2)
	msgs := []*logdriver.Message{
		part(1, "out", "x", 1, false, "a"), part(2, "err", "y", 1, false, "b"), part(3, "out", "x", 2, false, "c"),
	}
	if err := l.LogBatch(t.Context(), msgs[:2]); !errors.Is(err, service.ErrHold) || offered != "" {
		t.Fatalf("%v, %q", err, offered)
	}
	const cut = "b(y 1);ac(x 1);"
	if err := l.LogBatch(t.Context(), msgs); !errors.Is(err, down) || offered != cut {
		t.Fatalf("%v, %q", err, offered)
	}
	msgs = append(msgs, part(4, "out", "x", 3, true, "d"))
	if err := l.LogBatch(t.Context(), msgs); !errors.Is(err, down) || offered != cut+"d(x 2 last);" {
		t.Fatalf("%v, %q", err, offered)
	}
	s.fail = nil
	if err := l.LogBatch(t.Context(), msgs[:3]); err != nil {
		t.Fatal(err)
	}
	if err := l.LogBatch(t.Context(), msgs[3:]); err != nil {
		t.Fatal(err)
	}
	if want := []string{"b(y 1)", "ac(x 1)", "d(x 2 last)"}; !slices.Equal(s.lines, want) {
		t.Errorf("%q, not %q", s.lines, want)
	}
	if a := l.(*assembled); len(a.settled)+len(a.cuts) != 0 {
		t.Errorf("left behind: %+v", a)
	}
}

func TestAssembleFailuresOfTheSink(t *testing.T) {
	fails := 1
	s := &lineSink{fail: func(msgs []*logdriver.Message) error {
		if fails == 1 {
			fails--
			return errors.New("down")
		}
		return nil
	}}
	l := Assemble(s, 0)
	msgs := []*logdriver.Message{
		part(1, "out", "x", 1, false, "a1"), part(2, "out", "x", 2, true, "a2"), whole(3, "out", "b"), whole(4, "out", "c"),
	}
	if n := settledBy(t, 4, l.LogBatch(t.Context(), msgs)); n != 0 {
		t.Errorf("settled %d", n)
	}
	// The sink rejects b for good.
	s.fail = func(units []*logdriver.Message) error {
		for _, m := range units {
			if string(m.Line) != "b" {
				s.lines = append(s.lines, show(m))
			}
		}
		return &logdriver.BatchError{Done: len(units), Rejected: map[int]error{1: errors.New("no b")}}
	}
	err := l.LogBatch(t.Context(), msgs)
	var be *logdriver.BatchError
	if !errors.As(err, &be) || be.Done != 4 || be.Err != nil || len(be.Rejected) != 1 || be.Rejected[2] == nil {
		t.Errorf("%+v", err)
	}
	if want := []string{"a1a2", "c"}; !slices.Equal(s.lines, want) {
		t.Errorf("lines = %q", s.lines)
	}
}

type fullSink struct{ lineSink }

func (*fullSink) ReadLogs(context.Context, logdriver.ReadConfig) *logdriver.LogWatcher { return nil }
func (*fullSink) BufSize() int                                                         { return 77 }
func (*fullSink) Flush(context.Context) error                                          { return errors.New("flushed") }
func (*fullSink) LastSeq() uint64                                                      { return 5 }

func TestAssembleKeepsWhatALoggerCan(t *testing.T) {
	l := Assemble(new(fullSink), 0)
	if _, ok := l.(logdriver.LogReader); !ok {
		t.Error("it cannot read any more")
	}
	if _, ok := Assemble(new(lineSink), 0).(logdriver.LogReader); ok {
		t.Error("it pretends to read")
	}
	if l.(logdriver.SizedLogger).BufSize() != 77 || l.(logdriver.Flusher).Flush(t.Context()) == nil {
		t.Error("size or flush is not passed on")
	}
	if _, ok := l.(logdriver.Sequencer); ok {
		t.Error("sequences are passed on")
	}
}
