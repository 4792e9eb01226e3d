package servertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/logplug/logplug/shared/logdriver"
)

// Any host reads and follows, up to the end of the log.
func TestOtherHost(t *testing.T) {
	n := startNode(t)
	here, there := newMachine(n, nil), newMachine(n, nil)
	if _, _, err := there.reader("id"); !errors.Is(err, logdriver.ErrNoLog) {
		t.Fatalf("before the stream exists: %v", err)
	}
	w := here.open(t, "id")
	if _, _, err := there.reader("other"); !errors.Is(err, logdriver.ErrNoLog) {
		t.Fatalf("a log that was not written: %v", err)
	}
	r, done, err := there.reader("id")
	if err != nil {
		t.Fatal(err)
	}
	early := r.ReadLogs(t.Context(), logdriver.ReadConfig{Tail: -1, Follow: true})
	write(t, w, numbered(1, 20))
	late := r.ReadLogs(t.Context(), logdriver.ReadConfig{Tail: 5, Follow: true})
	same(t, there.read(t, "id", logdriver.ReadConfig{Tail: 3}), 18, 20)
	write(t, w, numbered(21, 40))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	same(t, collect(t, early), 1, 40)
	same(t, collect(t, late), 16, 40)
	same(t, collect(t, r.ReadLogs(t.Context(), logdriver.ReadConfig{Tail: 2, Follow: true})), 39, 40)
	// It is opened once more: following goes on, past the first end.
	w = here.open(t, "id")
	again := r.ReadLogs(t.Context(), logdriver.ReadConfig{Tail: -1, Follow: true})
	write(t, w, numbered(41, 50))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	same(t, collect(t, again), 1, 50)
	if err := done(); err != nil {
		t.Error(err)
	}
}

// A follower goes on when a host has died and the log goes on elsewhere.
func TestWriterDies(t *testing.T) {
	n := startNode(t)
	m := newMachine(n, nil)
	dead := closing(t, newMachine(n, nil).open(t, "id")) // not closed before the end
	write(t, dead, numbered(1, 10))
	r, done, err := m.reader("id")
	if err != nil {
		t.Fatal(err)
	}
	w := r.ReadLogs(t.Context(), logdriver.ReadConfig{Tail: -1, Follow: true})
	next := m.reopen(t, "id")
	if next.LastSeq() != 10 {
		t.Errorf("%d", next.LastSeq())
	}
	write(t, next, numbered(6, 20))
	if err := next.Close(); err != nil {
		t.Fatal(err)
	}
	same(t, collect(t, w), 1, 20)
	if err := done(); err != nil {
		t.Error(err)
	}
}

// Two writers of one log: neither loses anything, and each is known by its own
// sequence.
func TestTwoWriters(t *testing.T) {
	n := startNode(t)
	m := newMachine(n, nil)
	info := m.info("id")
	var ws [2]writer
	for i := range ws {
		info.Stream = fmt.Sprint("stream", i)
		w, err := newMachine(n, nil).tryOpen(info)
		if err != nil {
			t.Fatal(err)
		}
		ws[i] = closing(t, w)
	}
	for i := range 100 {
		write(t, ws[i%2], numbered(i/2*3+1, i/2*3+3))
	}
	lines := m.read(t, "id", logdriver.ReadConfig{Tail: -1})
	if len(lines) != 300 {
		t.Fatalf("%d lines", len(lines))
	}
	for i, line := range lines {
		if want := fmt.Sprintf("line %d\n", i/6*3+i%3+1); line != want {
			t.Fatalf("line %d is %q, want %q", i, line, want)
		}
	}
	for i := range ws {
		info.Stream = fmt.Sprint("stream", i)
		w, err := m.tryOpen(info)
		if err != nil || w.LastSeq() != 150 {
			t.Fatalf("%d, %v", w.LastSeq(), err)
		}
		w.Close()
	}
}

// Times that go back and forth, and servers' clocks, do not matter.
func TestSinceByOwnTime(t *testing.T) {
	n := startNode(t)
	m := newMachine(n, nil)
	w := closing(t, m.open(t, "id"))
	other := closing(t, m.open(t, "other")) // shares the stream
	offsets := []int{0, 50, 20, 90, 10, 95, 5, 200, 1, 150, 300}
	var msgs []*logdriver.Message
	for i, o := range offsets {
		msgs = append(msgs, numbered(i+1, i+1)...)
		msgs[i].Timestamp = time.Now().Add(1000*time.Hour + time.Duration(o)*time.Second)
		write(t, w, msgs[i:])
		write(t, other, numbered(3*i+1, 3*i+3))
	}
	for i, o := range offsets {
		since := msgs[i].Timestamp
		first := slices.IndexFunc(offsets, func(p int) bool { return p >= o })
		same(t, m.read(t, "id", logdriver.ReadConfig{Tail: -1, Since: since}), first+1, len(offsets))
	}
	same(t, m.read(t, "other", logdriver.ReadConfig{Tail: 4}), 30, 33)
}

// With both, the shorter selection counts: after the first message of a time, older ones
// belong to it.
func TestSinceWithTail(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	m := newMachine(n, nil)
	w := m.open(t, "id")
	at := func(i int) time.Time { return epoch.Add(time.Duration(i) * time.Second) }
	log := func(number, second int) {
		msgs := numbered(number, number)
		msgs[0].Timestamp = at(second)
		write(t, w, msgs)
	}
	for i, second := range []int{1, 10, 3, 4} {
		log(i+1, second)
	}
	for _, tc := range []struct{ since, tail, first int }{{5, 2, 3}, {5, 3, 2}, {5, 4, 2}, {11, 2, 5}, {5, 0, 5}} {
		same(t, m.read(t, "id", logdriver.ReadConfig{Tail: tc.tail, Since: at(tc.since)}), tc.first, 4)
	}
	follower := w.ReadLogs(t.Context(), logdriver.ReadConfig{Tail: 0, Since: at(5), Follow: true})
	log(5, 2)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	same(t, collect(t, follower), 5, 5)
}

// Single messages may be removed, damaged, or another program's.
func TestForeignMessages(t *testing.T) {
	n := startNode(t)
	m := newMachine(n, nil)
	w := closing(t, m.open(t, "id"))
	write(t, w, numbered(1, 10))
	js := n.client(t)
	s, err := js.Stream(t.Context(), "LOGPLUG")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteMsg(t.Context(), 5); err != nil { // the first one says that the log is open
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "logs.id", []byte("foreign")); err != nil {
		t.Fatal(err)
	}
	bad := &nats.Msg{Subject: "logs.id", Data: []byte("bad"), Header: nats.Header{"Logplug-Index": {"many"}}}
	write(t, w, numbered(11, 12))
	if _, err := js.PublishMsg(t.Context(), bad); err != nil {
		t.Fatal(err)
	}
	write(t, w, numbered(13, 14))
	want := []string{"line 1\n", "line 2\n", "line 3\n", "! ", "line 5\n", "line 6\n", "line 7\n", "line 8\n", "line 9\n", "line 10\n",
		"foreign\n", "line 11\n", "line 12\n", "! ", "line 13\n", "line 14\n"}
	lines := m.read(t, "id", logdriver.ReadConfig{Tail: -1})
	for i := range lines {
		if strings.HasPrefix(lines[i], "! ") {
			lines[i] = "! "
		}
	}
	if !slices.Equal(lines, want) {
		t.Errorf("%q", lines)
	}
	same(t, m.read(t, "id", logdriver.ReadConfig{Tail: 2}), 13, 14)
}

// Lines that no message can hold are stored in pieces: also with a server that
// takes smaller ones than the host was told.
func TestLongLines(t *testing.T) {
	for _, limit := range []int32{4 << 10, 64 << 10, 1 << 20} {
		n := startNode(t, func(o *server.Options) { o.MaxPayload = limit })
		m := newMachine(n, map[string]string{"tag": "t"})
		w := m.open(t, "id")
		if size := w.BufSize(); size < int(limit)/2 || size > int(limit) {
			t.Errorf("limit %d: lines of %d", limit, size)
		}
		var want []string
		var msgs []*logdriver.Message
		for i, size := range []int{0, w.BufSize(), int(limit), logdriver.MaxLineBytes, 10, int(limit) - 1000, logdriver.MaxLineBytes, 0} {
			line := bytes.Repeat([]byte{'a' + byte(i)}, size)
			msgs = append(msgs, &logdriver.Message{Line: line, Timestamp: epoch, Seq: uint64(i + 1)})
			want = append(want, string(line)+"\n")
		}
		write(t, w, msgs)
		for _, cfg := range []logdriver.ReadConfig{{Tail: -1}, {Tail: 5}, {Tail: 2}, {Tail: -1, Since: epoch}} {
			lines := m.read(t, "id", cfg)
			from := 0
			if cfg.Tail > 0 {
				from = len(want) - cfg.Tail
			}
			if !slices.Equal(lines, want[from:]) {
				t.Errorf("limit %d: tail %d: %d lines", limit, cfg.Tail, len(lines))
			}
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}
}

// What no server would take is refused, and nothing else with it.
func TestTooManyAttributes(t *testing.T) {
	n := startNode(t)
	w := closing(t, newMachine(n, nil).open(t, "id"))
	msgs := numbered(1, 3)
	msgs[1].Attrs = []logdriver.Attr{{Key: "k", Value: strings.Repeat("\x01", 60<<10)}} // six bytes each in JSON
	err := w.LogBatch(t.Context(), msgs)
	var partial *logdriver.BatchError
	if !errors.As(err, &partial) || partial.Done != 3 || partial.Err != nil || !errors.Is(partial.Rejected[1], logdriver.ErrMessageTooLarge) {
		t.Fatalf("%v", err)
	}
	lines := collect(t, w.ReadLogs(context.Background(), logdriver.ReadConfig{Tail: -1}))
	if !slices.Equal(lines, []string{"line 1\n", "line 3\n"}) {
		t.Errorf("%q", lines)
	}
}
