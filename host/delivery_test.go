package host_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/shared/logdriver"
)

// checkSink asserts that the file has messages 0 to n-1 in order; with
// repetitions, where a driver that cannot tell what it holds was replaced.
func checkSink(t *testing.T, file string, n int, repeats bool) {
	t.Helper()
	next := 0
	for _, l := range lines(t, file) {
		var seq, i int
		if _, err := fmt.Sscanf(l, "%d message %d", &seq, &i); err != nil {
			t.Fatalf("line %q: %v", l, err)
		}
		switch {
		case i == next:
			next++
		case i > next:
			t.Fatalf("message %d is missing before %d", next, i)
		case !repeats:
			t.Fatalf("message %d came again, after %d", i, next-1)
		}
	}
	if next != n {
		t.Fatalf("%d messages arrived, want %d", next, n)
	}
}

func TestMessagesArriveInOrder(t *testing.T) {
	h := newHost(t, nil)
	const loggers, n = 8, 2000
	var files []string
	var wg sync.WaitGroup
	for range loggers {
		info, file := sinkInfo(t, nil)
		l := open(t, h, "sink", info)
		files = append(files, file)
		wg.Go(func() {
			for i := range n {
				if err := l.Log(message("message %d", i)); err != nil {
					t.Error(err)
					return
				}
			}
			if err := l.Close(); err != nil {
				t.Error(err)
			}
			if st := l.Stats(); st.Acked.Messages != n || st.Spooled.Messages != 0 {
				t.Errorf("stats after Close: %+v", st)
			}
			if err := l.Log(message("late")); !errors.Is(err, logdriver.ErrClosed) {
				t.Errorf("Log after Close: %v", err)
			}
		})
	}
	wg.Wait()
	for _, f := range files {
		checkSink(t, f, n, false)
	}
}

// TestKilledDriverIsReplaced kills the driver's process again and again.
func TestKilledDriverIsReplaced(t *testing.T) {
	h := newHost(t, nil)
	info, file := sinkInfo(t, nil)
	l := open(t, h, "sink", info)
	const n, kills = 50000, 5
	pid := func() int { return h.Stats().Drivers[0].Pid }
	killed := 0
	for i := range n {
		logLine(t, l, "message %d", i)
		if i%(n/kills) == n/kills/2 {
			if p := pid(); p != 0 {
				if err := syscall.Kill(p, syscall.SIGKILL); err == nil {
					killed++
				}
			}
		}
	}
	if err := l.Flush(testContext(t)); err != nil {
		t.Fatal(err)
	}
	checkSink(t, file, n, true)
	if killed == 0 || h.Stats().Drivers[0].Restarts == 0 {
		t.Fatalf("killed %d times, restarted %d times", killed, h.Stats().Drivers[0].Restarts)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestCallsOutliveAKilledDriver: with nothing on its way, Flush and ReadLogs are the
// first to meet a process that has just been killed, and wait for the next one.
func TestCallsOutliveAKilledDriver(t *testing.T) {
	h := newHost(t, nil)
	l := open(t, h, "jsonfile", jsonInfo(t, nil))
	for i := range 3 {
		logLine(t, l, "message %d", i)
		if err := l.Flush(testContext(t)); err != nil {
			t.Fatal(err)
		}
		// A signal takes a moment: what is stopped does not answer meanwhile.
		if err := syscall.Kill(freezeDriver(t, h), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if err := l.Flush(testContext(t)); err != nil {
			t.Fatal(err)
		}
		got := readAll(t, l.(logdriver.LogReader).ReadLogs(testContext(t), logdriver.ReadConfig{Tail: -1}))
		if len(got) != i+1 {
			t.Fatalf("read %d messages, want %d", len(got), i+1)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := l.Flush(testContext(t)); !errors.Is(err, logdriver.ErrClosed) {
		t.Fatalf("Flush after Close: %v", err)
	}
}

// TestStoppedDriverIsReplaced: SIGSTOP makes a process that neither answers nor
// ends.
func TestStoppedDriverIsReplaced(t *testing.T) {
	h := newHost(t, func(c *host.Config) { c.Timeouts.Health = time.Second })
	info, file := sinkInfo(t, nil)
	l := open(t, h, "sink", info)
	logLine(t, l, "message 0")
	if err := l.Flush(testContext(t)); err != nil {
		t.Fatal(err)
	}
	freezeDriver(t, h)
	logLine(t, l, "message 1")
	if err := l.Shutdown(testContext(t)); err != nil {
		t.Fatal(err)
	}
	checkSink(t, file, 2, true)
}

// TestBlockedDriverThatStopsIsReplaced: that the driver has said why it does not
// acknowledge does not mean that it goes on.
func TestBlockedDriverThatStopsIsReplaced(t *testing.T) {
	h := newHost(t, func(c *host.Config) { c.Timeouts.Health = time.Second })
	fail := filepath.Join(t.TempDir(), "fail")
	if err := os.WriteFile(fail, []byte("down"), 0o600); err != nil {
		t.Fatal(err)
	}
	info, file := sinkInfo(t, map[string]string{"fail-file": fail})
	l := open(t, h, "sink", info)
	logLine(t, l, "message 0")
	eventually(t, "the reason", func() bool { return strings.Contains(l.Stats().Blocked, "down") })
	freezeDriver(t, h)
	if err := os.Remove(fail); err != nil {
		t.Fatal(err)
	}
	if err := l.Shutdown(testContext(t)); err != nil {
		t.Fatal(err)
	}
	checkSink(t, file, 1, true)
}

// TestDeadlockedDriverIsReplaced: its health is good, but nothing is acknowledged.
func TestDeadlockedDriverIsReplaced(t *testing.T) {
	h := newHost(t, func(c *host.Config) {
		c.Timeouts.Health = time.Second
		c.Timeouts.Progress = 2 * time.Second
	})
	hang := filepath.Join(t.TempDir(), "hang")
	if err := os.WriteFile(hang, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	info, file := sinkInfo(t, map[string]string{"hang-file": hang})
	l := open(t, h, "sink", info)
	logLine(t, l, "message 0")
	eventually(t, "a restart", func() bool { return h.Stats().Drivers[0].Restarts > 0 })
	if err := os.Remove(hang); err != nil {
		t.Fatal(err)
	}
	if err := l.Shutdown(testContext(t)); err != nil {
		t.Fatal(err)
	}
	checkSink(t, file, 1, true)
}

// TestBlockedSinkIsVisible: a sink that fails for a time blocks its logger, is
// seen in stats, harms no other logger, and loses nothing. Its secret is not seen.
func TestBlockedSinkIsVisible(t *testing.T) {
	h := newHost(t, nil)
	fail := filepath.Join(t.TempDir(), "fail")
	if err := os.WriteFile(fail, []byte("no space left on device"), 0o600); err != nil {
		t.Fatal(err)
	}
	info, file := sinkInfo(t, map[string]string{"fail-file": fail, "token": "hunter2secret"})
	l := open(t, h, "sink", info)
	otherInfo, otherFile := sinkInfo(t, nil)
	other := open(t, h, "sink", otherInfo)
	for i := range 100 {
		logLine(t, l, "message %d", i)
		logLine(t, other, "message %d", i)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	checkSink(t, otherFile, 100, false)
	eventually(t, "the reason", func() bool { return strings.Contains(l.Stats().Blocked, "no space left on device") })
	if st := l.Stats(); strings.Contains(st.Blocked, "hunter2secret") || st.BlockedSince.IsZero() || st.Acked.Messages != 0 {
		t.Fatalf("stats while blocked: %+v", st)
	}
	if err := os.Remove(fail); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	checkSink(t, file, 100, false)
}

// TestSinkThatHangsAtOpen: an application starts and logs though storing hangs from
// the beginning; that is seen in stats, and all arrives when the sink is up.
func TestSinkThatHangsAtOpen(t *testing.T) {
	h := newHost(t, nil)
	hang := filepath.Join(t.TempDir(), "hang")
	if err := os.WriteFile(hang, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	info, file := sinkInfo(t, map[string]string{"hang-file": hang})
	began := time.Now()
	l := open(t, h, "sink", info)
	for i := range 100 {
		logLine(t, l, "message %d", i)
	}
	eventually(t, "messages on their way", func() bool { return !l.Stats().WaitingSince.IsZero() })
	if st := l.Stats(); st.WaitingSince.Before(began) || st.Blocked != "" || st.Spooled.Messages != 100 {
		t.Errorf("stats while the sink hangs: %+v", st)
	}
	if err := os.Remove(hang); err != nil {
		t.Fatal(err)
	}
	if err := l.Flush(testContext(t)); err != nil {
		t.Fatal(err)
	}
	if st := l.Stats(); !st.WaitingSince.IsZero() || st.Acked.Messages != 100 {
		t.Errorf("stats when all is stored: %+v", st)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	checkSink(t, file, 100, false)
}

func TestFullSpoolBlocksUntilItsDeadline(t *testing.T) {
	h := newHost(t, func(c *host.Config) {
		c.Spool.LoggerBytes = host.MinSpoolBytes
		c.Timeouts.Log = 100 * time.Millisecond
	})
	fail := filepath.Join(t.TempDir(), "fail")
	if err := os.WriteFile(fail, []byte("down"), 0o600); err != nil {
		t.Fatal(err)
	}
	info, file := sinkInfo(t, map[string]string{"fail-file": fail})
	l := open(t, h, "sink", info)
	n := 0
	for {
		m := message("message %d %s", n, strings.Repeat("x", 100000))
		err := l.Log(m)
		if err == nil {
			n++
			continue
		}
		if !errors.Is(err, logdriver.ErrSpoolFull) || len(m.Line) < 100000 {
			t.Fatalf("Log into a full spool: %v, message of %d bytes", err, len(m.Line))
		}
		logdriver.PutMessage(m) // the caller has kept it
		break
	}
	if n < 10 || l.Stats().Waits == 0 {
		t.Fatalf("accepted %d, stats %+v", n, l.Stats())
	}
	if err := os.Remove(fail); err != nil {
		t.Fatal(err)
	}
	if err := l.Flush(testContext(t)); err != nil {
		t.Fatal(err)
	}
	checkSink(t, file, n, false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestRejectedMessagesAreCounted(t *testing.T) {
	h := newHost(t, nil)
	info, file := sinkInfo(t, map[string]string{"reject-on": "bad"})
	l := open(t, h, "sink", info)
	for i := range 10 {
		logLine(t, l, "message %d", i)
		logLine(t, l, "bad %d", i)
	}
	if err := l.Flush(testContext(t)); err != nil {
		t.Fatal(err)
	}
	if st := l.Stats(); st.Failed.Messages != 10 || st.Acked.Messages != 10 || st.LastFailure == "" {
		t.Fatalf("stats: %+v", st)
	}
	checkSink(t, file, 10, false)
}

// TestCloseSaysWhatIsUndelivered also shows that a stuck driver does not hold up
// Close beyond its deadline.
func TestCloseSaysWhatIsUndelivered(t *testing.T) {
	h := newHost(t, nil)
	fail := filepath.Join(t.TempDir(), "fail")
	if err := os.WriteFile(fail, []byte("down"), 0o600); err != nil {
		t.Fatal(err)
	}
	info, _ := sinkInfo(t, map[string]string{"fail-file": fail})
	l := open(t, h, "sink", info)
	for i := range 7 {
		logLine(t, l, "message %d", i)
	}
	eventually(t, "the reason", func() bool { return strings.Contains(l.Stats().Blocked, "down") })
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	err := l.Shutdown(ctx)
	var u *logdriver.UndeliveredError
	if !errors.As(err, &u) || u.Messages != 7 || u.Bytes == 0 {
		t.Fatalf("Shutdown: %v", err)
	}
	if !strings.Contains(err.Error(), "down") {
		t.Errorf("the error does not say why: %v", err)
	}
}

// TestLongLinesAreSplit: a line above the driver's size comes as parts.
func TestLongLinesAreSplit(t *testing.T) {
	h := newHost(t, nil)
	info, file := sinkInfo(t, map[string]string{"buf-size": "1000"})
	l := open(t, h, "sink", info)
	line := strings.Repeat("0123456789", 1234)
	logLine(t, l, "%s", line)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	parts := lines(t, file)
	for _, p := range parts {
		_, text, _ := strings.Cut(p, " ")
		got.WriteString(text)
	}
	if len(parts) != 13 || got.String() != line {
		t.Fatalf("%d parts, %d bytes", len(parts), got.Len())
	}
}
