package host_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/shared/logdriver"
)

var markerText = regexp.MustCompile(`^\d+ logplug: (\d+) messages \(\d+ bytes\) were dropped here, between sequences \d+ and \d+`)

// TestNonBlocking logs into a blocked sink beyond the buffer, with either policy.
// What arrives and what the markers in the stream tell of must be all there was.
func TestNonBlocking(t *testing.T) {
	for _, drop := range []string{"newest", "oldest"} {
		t.Run(drop, func(t *testing.T) {
			h := newHost(t, nil)
			fail := filepath.Join(t.TempDir(), "fail")
			if err := os.WriteFile(fail, []byte("down"), 0o600); err != nil {
				t.Fatal(err)
			}
			info, file := sinkInfo(t, map[string]string{
				"fail-file": fail, "mode": "non-blocking", "max-buffer-size": "64k", "drop": drop,
			})
			l := open(t, h, "sink", info)
			const n = 3000
			refused := 0
			for i := range n {
				m := message("message %d %s", i, strings.Repeat("x", 100))
				if err := l.Log(m); err != nil {
					if !errors.Is(err, logdriver.ErrSpoolFull) {
						t.Fatal(err)
					}
					refused++
					logdriver.PutMessage(m)
				}
			}
			if drop == "newest" && refused == 0 || drop == "oldest" && refused > 0 {
				t.Fatalf("policy %s: %d messages refused", drop, refused)
			}
			if err := os.Remove(fail); err != nil {
				t.Fatal(err)
			}
			if err := l.Flush(testContext(t)); err != nil {
				t.Fatal(err)
			}
			logLine(t, l, "message %d", n) // the room is back
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			checkGaps(t, file, n+1, l.Stats())
		})
	}
}

// checkGaps asserts that messages and markers account for all of 0 to n-1.
func checkGaps(t *testing.T, file string, n int, st host.LoggerStats) {
	t.Helper()
	next, markers, dropped := 0, 0, 0
	for _, line := range lines(t, file) {
		if m := markerText.FindStringSubmatch(line); m != nil {
			k, _ := strconv.Atoi(m[1])
			next += k
			dropped += k
			markers++
			continue
		}
		var seq, i int
		if _, err := fmt.Sscanf(line, "%d message %d", &seq, &i); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		if i != next {
			t.Fatalf("message %d, want %d: the markers do not tell of all that is missing", i, next)
		}
		next++
	}
	if next != n || dropped == 0 {
		t.Fatalf("accounted for %d messages, %d of them dropped; want %d", next, dropped, n)
	}
	if st.Dropped.Messages != uint64(dropped) || st.Accepted.Messages != uint64(n+markers) || st.Spooled.Messages != 0 {
		t.Fatalf("%d dropped, %d markers, stats %+v", dropped, markers, st)
	}
}

// TestHostBoundsAllSpools fills the spools of two loggers up to what the host
// allows in messages.
func TestHostBoundsAllSpools(t *testing.T) {
	const limit = 10
	h := newHost(t, func(c *host.Config) {
		c.Spool.HostMessages = limit
		c.Timeouts.Log = 100 * time.Millisecond
	})
	fail := filepath.Join(t.TempDir(), "fail")
	if err := os.WriteFile(fail, []byte("down"), 0o600); err != nil {
		t.Fatal(err)
	}
	var loggers []host.Logger
	var files []string
	for range 2 {
		info, file := sinkInfo(t, map[string]string{"fail-file": fail})
		loggers, files = append(loggers, open(t, h, "sink", info)), append(files, file)
	}
	for i := range limit {
		logLine(t, loggers[i%2], "message %d", i/2)
	}
	m := message("message %d", limit/2)
	if err := loggers[0].Log(m); !errors.Is(err, logdriver.ErrSpoolFull) {
		t.Fatalf("Log beyond the host's bound: %v", err)
	}
	logdriver.PutMessage(m)
	if st := h.Stats(); st.SpooledMessages != limit || st.SpoolLimitMessages != limit {
		t.Errorf("stats say %d messages of %d", st.SpooledMessages, st.SpoolLimitMessages)
	}
	if err := os.Remove(fail); err != nil {
		t.Fatal(err)
	}
	for i, l := range loggers {
		if err := l.Flush(testContext(t)); err != nil {
			t.Fatal(err)
		}
		checkSink(t, files[i], limit/2, false)
	}
}

func TestOverflowOptionsAreValidated(t *testing.T) {
	h := newHost(t, nil)
	for option, config := range map[string]map[string]string{
		"mode":            {"mode": "sometimes"},
		"max-buffer-size": {"max-buffer-size": "1m"},
		"drop":            {"mode": "non-blocking", "drop": "all"},
	} {
		_, err := h.Open(testContext(t), "sink", logdriver.Info{Config: config})
		var o *logdriver.OptionError
		if !errors.As(err, &o) || o.Option != option || o.Driver != "sink" {
			t.Errorf("%v: %v", config, err)
		}
	}
}

// TestDroppingFromASpoolThatWasCutOff: memory that is gone ends messages, not the host.
func TestDroppingFromASpoolThatWasCutOff(t *testing.T) {
	dir := t.TempDir()
	h, err := host.New(hostConfig(t, func(c *host.Config) { c.Spool.Dir = dir }))
	if err != nil {
		t.Fatal(err)
	}
	fail := filepath.Join(t.TempDir(), "fail")
	if err := os.WriteFile(fail, []byte("down"), 0o600); err != nil {
		t.Fatal(err)
	}
	info, _ := sinkInfo(t, map[string]string{"fail-file": fail, "mode": "non-blocking", "max-buffer-size": "64k", "drop": "oldest"})
	l := open(t, h, "sink", info)
	const n = 2000
	for i := range n {
		logLine(t, l, "message %d %s", i, strings.Repeat("x", 100))
	}
	if err := os.Truncate(filepath.Join(dir, "messages"), 0); err != nil {
		t.Fatal(err)
	}
	m := message("message %d %s", n, strings.Repeat("x", 60<<10)) // there is no room for it
	defer logdriver.PutMessage(m)
	if err := l.Log(m); !errors.Is(err, logdriver.ErrSpoolFull) {
		t.Errorf("Log: %v", err)
	}
	checkStats(t, h.Stats())
	if st := l.Stats(); st.DroppedBy[host.DropNewest].Messages != 1 {
		t.Errorf("stats: %+v", st)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var u *logdriver.UndeliveredError
	if err := h.Close(ctx); !errors.As(err, &u) {
		t.Errorf("Close: %v", err)
	}
}
