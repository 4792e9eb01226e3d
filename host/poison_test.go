package host

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/logplug/logplug/host/internal/spool"
	"github.com/logplug/logplug/shared/wire"
)

// TestProbeThatReachesBeyondTheSuspects lets the next suspect send when these are
// settled: more of its logger's messages may be on their way from then on for ever.
func TestProbeThatReachesBeyondTheSuspects(t *testing.T) {
	t.Parallel()
	d := fakeDriver(t, spool.Memory{})
	s := fakeSession(t, d, &fakeProcess{open: opensNothing})
	suspect := func(id, limit uint64) *logger {
		l := fakeLogger(d, "c", nil)
		for range 2 {
			if err := l.Log(lineMessage("line")); err != nil {
				t.Fatal(err)
			}
		}
		l.suspect = suspicion{crashes: suspectAfter, first: 1, last: 1, limit: limit}
		if err := s.adopt(t.Context(), l, opened{id: id, window: minWindowBytes}); err != nil {
			t.Fatal(err)
		}
		return l
	}
	first, other := suspect(1, 2), suspect(2, 1)
	var w wire.WriteRequest
	defer w.Free()
	first.fill(s, &w, maxShareBytes)
	if sent := w.Len(); sent == 0 || other.fill(s, &w, maxShareBytes) || w.Len() > sent {
		t.Fatal("not the first suspect alone sends")
	}
	if err := first.settle(s, &wire.Ack{Logger: 1, Seq: 1}); err != nil {
		t.Fatal(err)
	}
	if !first.onItsWay() {
		t.Fatal("nothing is left of the part that was sent")
	}
	if !other.queued {
		t.Error("the next suspect is not scheduled")
	}
	sent := w.Len()
	if other.fill(s, &w, maxShareBytes); w.Len() == sent {
		t.Error("the next suspect sends nothing")
	}
}

// TestSuspectWhoseMessagesCannotBeRead lets the next one send.
func TestSuspectWhoseMessagesCannotBeRead(t *testing.T) {
	path := t.TempDir()
	dir, _, err := spool.Open(path, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	d := fakeDriver(t, dir)
	d.host.spool.dir = dir
	s := fakeSession(t, d, &fakeProcess{open: opensNothing})
	suspect := func(id uint64) *logger {
		l := fakeLogger(d, "c", nil)
		if err := l.Log(lineMessage("line")); err != nil {
			t.Fatal(err)
		}
		if err := s.adopt(t.Context(), l, opened{id: id, window: minWindowBytes}); err != nil {
			t.Fatal(err)
		}
		l.suspect = suspicion{crashes: suspectAfter, first: 1, last: 1, limit: 1}
		return l
	}
	damaged := suspect(1)
	d.host.spool.store = spool.Memory{}
	other := suspect(2)
	if err := os.Truncate(filepath.Join(path, "messages"), 0); err != nil {
		t.Fatal(err)
	}
	var w wire.WriteRequest
	defer w.Free()
	if damaged.fill(s, &w, maxShareBytes); w.Len() > 0 || damaged.Stats().Blocked == "" {
		t.Fatalf("%d bytes were read of a file that is cut off: %+v", w.Len(), damaged.Stats())
	}
	if other.fill(s, &w, maxShareBytes); w.Len() == 0 {
		t.Error("the next suspect sends nothing")
	}
	if err := dir.Close(); err != nil {
		t.Error(err)
	}
}
