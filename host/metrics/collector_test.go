package metrics_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/host/metrics"
	"github.com/logplug/logplug/shared/logdriver"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestNamesFollowConventions(t *testing.T) {
	h := newHost(t, nil)
	logAll(t, open(t, h, "c", nil), 3)
	problems, err := testutil.CollectAndLint(metrics.NewCollector(h, nil))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// TestCounts has a logger with messages that the driver takes and rejects.
func TestCounts(t *testing.T) {
	h := newHost(t, nil)
	reg := register(t, metrics.NewCollector(h, nil))
	l := open(t, h, "c", map[string]string{"reject-on": "BAD"})
	for range 2 {
		if err := l.Log(message("BAD")); err != nil {
			t.Fatal(err)
		}
	}
	logAll(t, l, 5)
	text := `
# HELP logplug_messages_accepted_total Number of messages accepted, those dropped at once and those that tell of drops included.
# TYPE logplug_messages_accepted_total counter
logplug_messages_accepted_total{driver="sink",logger="c"} 7
# HELP logplug_messages_acked_total Number of messages acknowledged by the driver.
# TYPE logplug_messages_acked_total counter
logplug_messages_acked_total{driver="sink",logger="c"} 5
# HELP logplug_messages_failed_total Number of messages that the driver will never take.
# TYPE logplug_messages_failed_total counter
logplug_messages_failed_total{driver="sink",logger="c"} 2
# HELP logplug_messages_dropped_total Number of messages given up, by reason.
# TYPE logplug_messages_dropped_total counter
logplug_messages_dropped_total{driver="sink",logger="c",reason="damaged"} 0
logplug_messages_dropped_total{driver="sink",logger="c",reason="newest"} 0
logplug_messages_dropped_total{driver="sink",logger="c",reason="oldest"} 0
logplug_messages_dropped_total{driver="sink",logger="c",reason="undelivered"} 0
# HELP logplug_driver_up 1 if a process of the driver serves, else 0; a driver that nobody uses needs none.
# TYPE logplug_driver_up gauge
logplug_driver_up{driver="sink"} 1
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(text), "logplug_messages_accepted_total", "logplug_messages_acked_total",
		"logplug_messages_failed_total", "logplug_messages_dropped_total", "logplug_driver_up"); err != nil {
		t.Error(err)
	}
	st := l.Stats()
	if st.Failed.Bytes == 0 || st.Accepted.Bytes != st.Acked.Bytes+st.Failed.Bytes {
		t.Errorf("bytes do not add up: %+v", st)
	}
	gather(t, reg).want(t, samples{
		`logplug_messages_accepted_bytes_total{driver="sink",logger="c"}`: float64(st.Accepted.Bytes),
		`logplug_messages_acked_bytes_total{driver="sink",logger="c"}`:    float64(st.Acked.Bytes),
		`logplug_messages_failed_bytes_total{driver="sink",logger="c"}`:   float64(st.Failed.Bytes),
		`logplug_driver_messages_accepted_total{driver="sink"}`:           7,
		`logplug_driver_messages_failed_total{driver="sink"}`:             2,
		`logplug_driver_state{driver="sink",state="running"}`:             1,
		`logplug_driver_state{driver="sink",state="quarantined"}`:         0,
		`logplug_driver_loggers{driver="sink"}`:                           1,
		`logplug_spooled_messages{driver="sink",logger="c"}`:              0,
		`logplug_logger_lag_seconds{driver="sink",logger="c"}`:            0,
		`logplug_logger_blocked{driver="sink",logger="c"}`:                0,
		`logplug_host_spooled_bytes`:                                      0,
		`logplug_host_spool_limit_bytes`:                                  256 << 20,
		`logplug_host_spooled_messages`:                                   0,
		`logplug_host_spool_limit_messages`:                               10_000_000,
	})
}

// TestBlocked has a driver whose sink is down for a while.
func TestBlocked(t *testing.T) {
	h := newHost(t, nil)
	reg := register(t, metrics.NewCollector(h, nil))
	fail := failFile(t)
	l := open(t, h, "c", map[string]string{"fail-file": fail})
	m := message("first")
	m.Timestamp = time.Now().Add(-time.Hour)
	for _, m := range []*logdriver.Message{m, message("second")} {
		if err := l.Log(m); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the logger to be blocked", func() bool { return l.Stats().Blocked != "" })
	got := gather(t, reg)
	got.want(t, samples{
		`logplug_logger_blocked{driver="sink",logger="c"}`:   1,
		`logplug_spooled_messages{driver="sink",logger="c"}`: 2,
		`logplug_spooled_bytes{driver="sink",logger="c"}`:    float64(l.Stats().Spooled.Bytes),
		`logplug_host_spooled_bytes`:                         float64(l.Stats().Spooled.Bytes),
	})
	if lag := got[`logplug_logger_lag_seconds{driver="sink",logger="c"}`]; lag < 3600 || lag > 3700 {
		t.Errorf("the lag is %v s, want about an hour", lag)
	}
	if err := os.Remove(fail); err != nil {
		t.Fatal(err)
	}
	flush(t, l)
	gather(t, reg).want(t, samples{
		`logplug_logger_blocked{driver="sink",logger="c"}`:     0,
		`logplug_spooled_messages{driver="sink",logger="c"}`:   0,
		`logplug_logger_lag_seconds{driver="sink",logger="c"}`: 0,
	})
}

// TestDropped drops, then closes: the series of the logger end, the driver's
// totals stay.
func TestDropped(t *testing.T) {
	for _, policy := range []string{host.DropNewest, host.DropOldest} {
		t.Run(policy, func(t *testing.T) {
			h := newHost(t, nil)
			reg := register(t, metrics.NewCollector(h, nil))
			fail := failFile(t)
			l := open(t, h, "c", map[string]string{"fail-file": fail, "mode": "non-blocking", "max-buffer-size": "64k", "drop": policy})
			overfill(t, l)
			st := l.Stats()
			if st.Dropped.Messages == 0 || st.Dropped.Bytes+st.Acked.Bytes+st.Failed.Bytes+st.Spooled.Bytes != st.Accepted.Bytes {
				t.Errorf("bytes do not add up: %+v", st)
			}
			gather(t, reg).want(t, samples{
				fmt.Sprintf(`logplug_messages_dropped_total{driver="sink",logger="c",reason=%q}`, policy):       float64(st.Dropped.Messages),
				fmt.Sprintf(`logplug_messages_dropped_bytes_total{driver="sink",logger="c",reason=%q}`, policy): float64(st.Dropped.Bytes),
				`logplug_host_spooled_bytes`: float64(st.Spooled.Bytes),
			})
			if err := os.Remove(fail); err != nil {
				t.Fatal(err)
			}
			closeLogger(t, l)
			got := gather(t, reg)
			for series := range got {
				if strings.Contains(series, `logger="c"`) {
					t.Errorf("%s is still there", series)
				}
			}
			got.want(t, samples{
				fmt.Sprintf(`logplug_driver_messages_dropped_total{driver="sink",reason=%q}`, policy): float64(l.Stats().Dropped.Messages),
				`logplug_host_spooled_bytes`: 0,
			})
		})
	}
}

// overfill logs more than the spool of l takes.
func overfill(t *testing.T, l host.Logger) {
	t.Helper()
	for i := range 3000 {
		m := message("message %d %s", i, strings.Repeat("x", 100))
		if err := l.Log(m); errors.Is(err, logdriver.ErrSpoolFull) {
			logdriver.PutMessage(m)
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func TestTotalsOutliveLoggersAndHost(t *testing.T) {
	h := newHost(t, nil)
	reg := register(t, metrics.NewCollector(h, nil))
	for i := range 3 {
		l := open(t, h, fmt.Sprint("c", i), nil)
		logAll(t, l, 10)
		closeLogger(t, l)
	}
	expected := samples{
		`logplug_driver_messages_accepted_total{driver="sink"}`: 30,
		`logplug_driver_messages_acked_total{driver="sink"}`:    30,
		`logplug_driver_loggers{driver="sink"}`:                 0,
	}
	gather(t, reg).want(t, expected)
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	expected[`logplug_driver_up{driver="sink"}`] = 0
	expected[`logplug_driver_state{driver="sink",state="closed"}`] = 1
	gather(t, reg).want(t, expected)
}

// TestLeft closes a logger that cannot deliver: with a spool directory, its
// messages stay for the next host.
func TestLeft(t *testing.T) {
	dir := t.TempDir()
	h := newHost(t, func(c *host.Config) {
		c.Spool.Dir = dir
		c.Timeouts.Close = 50 * time.Millisecond
	})
	reg := register(t, metrics.NewCollector(h, nil))
	l := open(t, h, "c", map[string]string{"fail-file": failFile(t)})
	if err := l.Log(message("stays")); err != nil {
		t.Fatal(err)
	}
	if st := l.Stats(); st.Oldest.IsZero() {
		t.Errorf("the oldest message in the directory has no time: %+v", st)
	}
	var undelivered *logdriver.UndeliveredError
	if err := l.Close(); !errors.As(err, &undelivered) {
		t.Fatal(err)
	}
	gather(t, reg).want(t, samples{
		`logplug_driver_messages_accepted_total{driver="sink"}`:                     1,
		`logplug_driver_messages_left_total{driver="sink"}`:                         1,
		`logplug_driver_messages_left_bytes_total{driver="sink"}`:                   float64(undelivered.Bytes),
		`logplug_driver_messages_dropped_total{driver="sink",reason="undelivered"}`: 0,
		`logplug_host_kept_messages`:                                                0,
	})
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	without := newHost(t, func(c *host.Config) { c.Spool.Dir, c.PluginDirs = dir, []string{t.TempDir()} })
	gather(t, register(t, metrics.NewCollector(without, nil))).want(t, samples{`logplug_host_kept_messages`: 1})
}

func TestRestart(t *testing.T) {
	h := newHost(t, nil)
	reg := register(t, metrics.NewCollector(h, nil))
	l := open(t, h, "c", map[string]string{"crash-on": "CRASH"})
	if err := l.Log(message("CRASH")); err != nil {
		t.Fatal(err)
	}
	logAll(t, l, 1)
	got := gather(t, reg)
	got.want(t, samples{
		`logplug_messages_failed_total{driver="sink",logger="c"}`:       1,
		`logplug_messages_failed_bytes_total{driver="sink",logger="c"}`: float64(l.Stats().Failed.Bytes),
		`logplug_messages_acked_total{driver="sink",logger="c"}`:        1,
	})
	for _, series := range []string{
		`logplug_driver_restarts_total{driver="sink"}`, `logplug_driver_messages_resent_total{driver="sink"}`,
		`logplug_messages_resent_total{driver="sink",logger="c"}`, `logplug_messages_failed_bytes_total{driver="sink",logger="c"}`,
	} {
		if got[series] == 0 {
			t.Errorf("%s is 0 after a crash", series)
		}
	}
}

// TestLoggersOfOneName share series, which do not shrink when one of them is
// closed, and begin anew after the last one.
func TestLoggersOfOneName(t *testing.T) {
	const accepted = `logplug_messages_accepted_total{driver="sink",logger="same"}`
	h := newHost(t, nil)
	reg := register(t, metrics.NewCollector(h, nil))
	a, b := open(t, h, "same", nil), open(t, h, "same", nil)
	logAll(t, a, 10)
	logAll(t, b, 1)
	gather(t, reg).want(t, samples{accepted: 11})
	closeLogger(t, a)
	gather(t, reg).want(t, samples{accepted: 11})
	logAll(t, b, 1)
	gather(t, reg).want(t, samples{accepted: 12})
	closeLogger(t, b)
	if got, ok := gather(t, reg)[accepted]; ok {
		t.Errorf("%s is still there, %v", accepted, got)
	}
	logAll(t, open(t, h, "same", nil), 1)
	gather(t, reg).want(t, samples{accepted: 1, `logplug_driver_messages_accepted_total{driver="sink"}`: 13})
}

// TestConcurrentUse scrapes while loggers come, log and go: no scrape fails, and
// no total goes back.
func TestConcurrentUse(t *testing.T) {
	h := newHost(t, nil)
	reg := register(t, metrics.NewCollector(h, nil))
	const workers, rounds, n = 4, 10, 20
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for range rounds {
				l := open(t, h, fmt.Sprint("worker", w%2), nil)
				logAll(t, l, n)
				closeLogger(t, l)
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	before := samples{}
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		now := gather(t, reg)
		for series, v := range now {
			if strings.HasPrefix(series, "logplug_driver_") && strings.Contains(series, "_total{") && v < before[series] {
				t.Errorf("%s went from %v back to %v", series, before[series], v)
			}
		}
		before = now
	}
	before.want(t, samples{
		`logplug_driver_messages_accepted_total{driver="sink"}`: workers * rounds * n,
		`logplug_driver_messages_acked_total{driver="sink"}`:    workers * rounds * n,
	})
}
