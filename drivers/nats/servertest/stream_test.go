package servertest

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/logplug/logplug/shared/logdriver"
)

func TestStreamIsCreated(t *testing.T) {
	n := startNode(t)
	m := newMachine(n, map[string]string{
		"nats-stream": "A", "nats-subject-prefix": "x.y", "nats-storage": "memory", "nats-discard": "new",
		"nats-max-bytes": "1m", "nats-max-age": "1h", "nats-max-messages": "1000",
	})
	w := closing(t, m.open(t, "id"))
	write(t, w, numbered(1, 3))
	s, err := n.client(t).Stream(t.Context(), "A")
	if err != nil {
		t.Fatal(err)
	}
	c := s.CachedInfo().Config
	if c.Subjects[0] != "x.y.*" || c.Storage != jetstream.MemoryStorage || c.Discard != jetstream.DiscardNew ||
		c.MaxBytes != 1<<20 || c.MaxAge != time.Hour || c.MaxMsgs != 1000 || !c.AllowAtomicPublish {
		t.Errorf("%+v", c)
	}
	// What another consumer sees.
	msg, err := s.GetLastMsgForSubject(t.Context(), "x.y.id")
	if err != nil || string(msg.Data) != "line 3" || msg.Header.Get("Logplug-Source") != "stdout" {
		t.Errorf("%+v, %v", msg, err)
	}
}

// What does not fit is refused at Open, with what to do about it.
func TestStreamIsChecked(t *testing.T) {
	n := startNode(t)
	js := n.client(t)
	create := func(c jetstream.StreamConfig) {
		if _, err := js.CreateStream(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	create(jetstream.StreamConfig{Name: "PLAIN", Subjects: []string{"plain.>"}, MaxAge: time.Hour})
	create(jetstream.StreamConfig{Name: "QUEUE", Subjects: []string{"queue.*"}, Retention: jetstream.WorkQueuePolicy})
	for _, tc := range []struct {
		config map[string]string
		option string
		hint   string
	}{
		{map[string]string{"nats-stream": "NONE", "nats-create": "false"}, "nats-stream", "nats-create=true"},
		{map[string]string{"nats-stream": "PLAIN", "nats-subject-prefix": "other"}, "nats-subject-prefix", `"plain.>"`},
		{map[string]string{"nats-stream": "QUEUE", "nats-subject-prefix": "queue"}, "nats-stream", "retention policy"},
		{map[string]string{"nats-stream": "NEW", "nats-subject-prefix": "plain"}, "nats-stream", "another stream"},
		{map[string]string{"nats-stream": "PLAIN", "nats-subject-prefix": "plain", "nats-max-age": "2h"}, "nats-max-age", "nats stream edit PLAIN"},
		{map[string]string{"nats-stream": "PLAIN", "nats-subject-prefix": "plain", "nats-storage": "memory"}, "nats-storage", ""},
		{map[string]string{"nats-stream": "PLAIN", "nats-subject-prefix": "plain", "nats-max-bytes": "1m"}, "nats-max-bytes", ""},
		{map[string]string{"nats-stream": "PLAIN", "nats-subject-prefix": "plain", "nats-replicas": "3"}, "nats-replicas", ""},
		{map[string]string{"nats-stream": "PLAIN", "nats-subject-prefix": "plain", "nats-max-age": "1h"}, "", ""},
		{map[string]string{"nats-stream": "PLAIN", "nats-subject-prefix": "plain", "nats-create": "false"}, "", ""},
	} {
		m := newMachine(n, tc.config)
		w, err := m.tryOpen(m.info("id"))
		if err == nil {
			w.Close()
		}
		var refused *logdriver.OptionError
		switch {
		case tc.option == "" && err != nil:
			t.Errorf("%v: %v", tc.config, err)
		case tc.option != "" && (!errors.As(err, &refused) || refused.Option != tc.option || !strings.Contains(err.Error(), tc.hint)):
			t.Errorf("%v: %v", tc.config, err)
		}
	}
}

// A full stream that takes nothing new blocks its loggers and says why.
func TestFullStream(t *testing.T) {
	n := startNode(t)
	m := newMachine(n, map[string]string{"nats-discard": "new", "nats-max-messages": "20"})
	w := closing(t, m.open(t, "id"))
	write(t, w, numbered(1, 10))
	msgs := numbered(11, 30)
	err := w.LogBatch(t.Context(), msgs)
	if err == nil || !strings.Contains(err.Error(), "maximum messages exceeded") || logdriver.IsPermanent(err) {
		t.Fatalf("%v", err)
	}
	s, err := n.client(t).Stream(t.Context(), "LOGPLUG")
	if err != nil {
		t.Fatal(err)
	}
	c := s.CachedInfo().Config
	c.MaxMsgs = 100
	if _, err := n.client(t).UpdateStream(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	// The option says otherwise now, which a logger that is open reports.
	if err := w.LogBatch(t.Context(), msgs); err == nil || !strings.Contains(err.Error(), "nats-max-messages") {
		t.Fatalf("%v", err)
	}
	m.config["nats-max-messages"] = "100"
	w2 := closing(t, m.open(t, "id"))
	// Of a batch nothing was stored, of single messages what had room.
	if held := w2.LastSeq(); held != 10 && held != 19 {
		t.Errorf("%d", held)
	}
	write(t, w2, msgs)
	same(t, m.read(t, "id", logdriver.ReadConfig{Tail: -1}), 1, 30)
}

// Where the oldest messages give way, a log begins later, and a reader that was
// overtaken says so.
func TestOvertaken(t *testing.T) {
	n := startNode(t)
	m := newMachine(n, map[string]string{"nats-max-messages": "100"})
	w := closing(t, m.open(t, "id"))
	write(t, w, numbered(1, 50))
	slow := w.ReadLogs(t.Context(), logdriver.ReadConfig{Tail: -1, Follow: true})
	defer slow.Close()
	if first := receive(t, slow); string(first.Line) != "line 1\n" {
		t.Fatalf("%q", first.Line)
	}
	s, err := n.client(t).Stream(t.Context(), "LOGPLUG")
	if err != nil {
		t.Fatal(err)
	}
	for i := 51; i < 60_000; i += 1000 { // more than is in flight
		write(t, w, numbered(i, i+999))
	}
	same(t, m.read(t, "id", logdriver.ReadConfig{Tail: -1}), 59951, 60050)
	same(t, m.read(t, "id", logdriver.ReadConfig{Tail: 7}), 60044, 60050)
	same(t, m.read(t, "id", logdriver.ReadConfig{Tail: 1000}), 59951, 60050)
	lines, err := drain(slow)
	if !errors.Is(err, logdriver.ErrGap) {
		t.Errorf("after %d lines: %v", len(lines), err)
	}
	// All of it goes: what follows is numbered on.
	if err := s.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	write(t, w, numbered(60_051, 60_060))
	same(t, m.read(t, "id", logdriver.ReadConfig{Tail: -1}), 60_051, 60_060)
	same(t, m.read(t, "id", logdriver.ReadConfig{Tail: 3}), 60_058, 60_060)
}
