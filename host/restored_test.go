package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/logplug/logplug/host/internal/spool"
	"github.com/logplug/logplug/shared/logdriver"
	"github.com/logplug/logplug/shared/wire"
)

// restored is a logger with what a crash has left of a number of messages in its
// spool: all but those that are lost. It is not attached.
func restored(t *testing.T, messages int, lost ...int) (*logger, *session) {
	t.Helper()
	path := t.TempDir()
	dir, _, err := spool.Open(path, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	q := spool.New(dir, spool.Stream{1})
	for i := range messages {
		m := lineMessage(fmt.Sprintf("message %d.", i+1))
		if _, _, err := q.Append(m, wire.Measure(m)); err != nil {
			t.Fatal(err)
		}
	}
	if err := dir.Close(); err != nil {
		t.Fatal(err)
	}
	damage(t, filepath.Join(path, "messages"), lost)
	dir, runs, err := spool.Open(path, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := dir.Close(); err != nil {
			t.Error(err)
		}
	})
	d := fakeDriver(t, dir)
	d.host.spool.dir = dir
	q, _ = spool.Restore(dir, runs)
	r := request{overflow: overflow{bytes: d.host.cfg.Spool.LoggerBytes}, goesOn: true}
	l := newLogger(d, &r, runs[0].Stream, q)
	l.counts.accepted.add(q.Count(), q.Bytes())
	l.room.take(q.Count(), q.Bytes())
	d.addLocked(l)
	return l, fakeSession(t, d, &fakeProcess{open: opensNothing})
}

func damage(t *testing.T, file string, lost []int) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range lost {
		line := fmt.Appendf(nil, "message %d.", n)
		data = bytes.ReplaceAll(data, line, bytes.ToUpper(line))
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// attachHolding attaches l to a process that says up to where it holds all.
func attachHolding(t *testing.T, l *logger, s *session, held uint64) {
	t.Helper()
	if err := s.adopt(t.Context(), l, opened{id: 1, window: minWindowBytes, lastSeq: held}); err != nil {
		t.Fatal(err)
	}
}

// isSettled tells whether waitSettled returns at once.
func (l *logger) isSettled() bool {
	now, cancel := context.WithCancel(context.Background())
	cancel()
	return l.waitSettled(now) == nil
}

// TestLostTailIsSettled: what a crash has taken at the end is waited for by nobody, and
// an acknowledgement may be repeated, whether the driver gets messages or has them all.
func TestLostTailIsSettled(t *testing.T) {
	t.Parallel()
	for _, held := range []uint64{0, 3, 5, 7, 8} {
		l, s := restored(t, 8, 6, 7, 8)
		attachHolding(t, l, s, held)
		var w wire.WriteRequest
		l.fill(s, &w, maxShareBytes)
		if sent := w.Len() > 0; sent != (held < 5) {
			t.Errorf("the driver holds %d; it is sent something: %v", held, sent)
		}
		w.Free()
		for range 2 {
			if err := l.settle(s, &wire.Ack{Logger: 1, Seq: max(held, 5)}); err != nil {
				t.Errorf("the driver holds %d: %v", held, err)
			}
		}
		if !l.isSettled() {
			t.Errorf("the driver holds %d: something is waited for: %+v", held, l.Stats())
		}
		if st := l.Stats(); st.Acked.Messages != 5 || st.Spooled.Messages != 0 {
			t.Errorf("the driver holds %d: %+v", held, st)
		}
	}
}

// TestWhatIsGivenUpIsNotSettled: an orphan that a host leaves to the next one is not
// finished.
func TestWhatIsGivenUpIsNotSettled(t *testing.T) {
	t.Parallel()
	l, _ := restored(t, 5)
	now, cancel := context.WithCancel(context.Background())
	cancel()
	var u *logdriver.UndeliveredError
	if err := l.Shutdown(now); !errors.As(err, &u) || u.Messages != 5 {
		t.Fatalf("Shutdown: %v", err)
	}
	if l.isSettled() {
		t.Error("what was given up counts as settled")
	}
}

// TestPoisonBeforeAHole is found: what is left out behind it was not on its way.
func TestPoisonBeforeAHole(t *testing.T) {
	t.Parallel()
	l, s := restored(t, 5, 2, 3)
	for range suspectAfter + guiltyWeight {
		attachHolding(t, l, s, 0)
		var w wire.WriteRequest
		l.fill(s, &w, maxShareBytes)
		w.Free()
		if guilty, _ := l.crashed(s, context.Canceled, exitWeight); guilty != nil {
			if guilty.Seq != 1 {
				t.Errorf("message %d is guilty, want 1", guilty.Seq)
			}
			return
		}
		delete(s.loggers, 1)
	}
	t.Error("nothing is found guilty")
}

// TestDriverHoldsMoreThanTheSpool: a loss of power has taken messages from the spool that
// the driver stored. What is logged next gets a number that the driver does not skip.
func TestDriverHoldsMoreThanTheSpool(t *testing.T) {
	t.Parallel()
	l, s := restored(t, 5)
	attachHolding(t, l, s, 8)
	if !l.isSettled() || l.Stats().Acked.Messages != 5 {
		t.Errorf("the driver holds all: %+v", l.Stats())
	}
	// As the driver does where a stream begins.
	if err := l.settle(s, &wire.Ack{Logger: 1, Seq: 8}); err != nil {
		t.Error(err)
	}
	checkNext(t, l, s, 9)
}

// checkNext logs a message, which must be sent with the number want.
func checkNext(t *testing.T, l *logger, s *session, want uint64) {
	t.Helper()
	if err := l.Log(lineMessage("next")); err != nil {
		t.Fatal(err)
	}
	var w wire.WriteRequest
	defer w.Free()
	l.fill(s, &w, maxShareBytes)
	l.mu.Lock()
	sent, last := l.queue.Sent(), l.queue.Last()
	l.mu.Unlock()
	if w.Len() == 0 || sent != want || last != want {
		t.Errorf("the next message is sent as number %d of %d, want %d", sent, last, want)
	}
	if err := l.settle(s, &wire.Ack{Logger: 1, Seq: want}); err != nil {
		t.Error(err)
	}
	if !l.isSettled() {
		t.Errorf("the next message is not settled: %+v", l.Stats())
	}
}

// TestLogBeforeTheDriverSaysWhatItHolds, which is more than is in the spool: the new
// message is not among it, and is found alone by the next host.
func TestLogBeforeTheDriverSaysWhatItHolds(t *testing.T) {
	t.Parallel()
	for _, left := range []int{0, 5} { // in the spool
		var lost []int
		for n := left + 1; n <= 5; n++ {
			lost = append(lost, n)
		}
		l, s := restored(t, 5, lost...)
		l.mu.Lock()
		l.leaveHeld()
		l.mu.Unlock()
		if err := l.Log(lineMessage("new")); err != nil {
			t.Fatal(err)
		}
		attachHolding(t, l, s, 8)
		if st := l.Stats(); st.Spooled.Messages != 1 || st.Acked.Messages != uint64(left) || st.Resent != 0 {
			t.Errorf("%d were left: %+v", left, st)
		}
		checkNext(t, l, s, 5+unheldDistance+2)
		if n := l.Stats().Acked.Messages; n != uint64(left)+2 {
			t.Errorf("%d were left: %d are acknowledged", left, n)
		}
	}
}

// TestClaimsOfWhatWasNeverSent are believed once: a host knows what it sent itself.
func TestClaimsOfWhatWasNeverSent(t *testing.T) {
	t.Parallel()
	l, s := restored(t, 5)
	attachHolding(t, l, s, 3)
	delete(s.loggers, 1)
	attachHolding(t, l, s, 8)
	if n := l.Stats().Spooled.Messages; n != 2 {
		t.Errorf("%d messages are in the spool, want 2", n)
	}
}
