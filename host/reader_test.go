package host_test

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/shared/logdriver"
)

// TestReaderOfAKilledDriver: who reads learns that the driver is gone, instead
// of an end that looks like the log's.
func TestReaderOfAKilledDriver(t *testing.T) {
	h := newHost(t, nil)
	l := open(t, h, "jsonfile", jsonInfo(t, nil))
	logLine(t, l, "message 0")
	w := l.(logdriver.LogReader).ReadLogs(testContext(t), logdriver.ReadConfig{Tail: -1, Follow: true})
	if m := <-w.Msg; m == nil || string(m.Line) != "message 0\n" {
		t.Fatalf("read %v", m)
	}
	killDriver(t, h)
	var err error
	for _, err = range w.All() {
	}
	if err == nil {
		t.Fatal("the reading ended without an error")
	}
	t.Log(err)
	// Reading again gives everything.
	logLine(t, l, "message 1")
	if err := l.Flush(testContext(t)); err != nil {
		t.Fatal(err)
	}
	got := readAll(t, l.(logdriver.LogReader).ReadLogs(testContext(t), logdriver.ReadConfig{Tail: -1}))
	if len(got) != 2 {
		t.Fatalf("read %d messages, want 2", len(got))
	}
}

// TestNothingWaitsForAStoppedDriver: with a process that is stopped, every call
// returns within its deadline.
func TestNothingWaitsForAStoppedDriver(t *testing.T) {
	cfg := hostConfig(t, func(c *host.Config) {
		c.PluginDirs = []string{ownPlugins(t, "jsonfile")}
		// Far below the defaults, of which any would be noticed.
		c.Timeouts = host.Timeouts{
			Call: 500 * time.Millisecond, Close: 500 * time.Millisecond, Stop: 500 * time.Millisecond,
			Start:  time.Minute,
			Health: time.Hour, // nothing replaces the process here
		}
	})
	h, err := host.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	info := jsonInfo(t, nil)
	var l host.Logger
	eventually(t, "the logger", func() (opened bool) { // half a second may be too short
		l, err = h.Open(testContext(t), "jsonfile", info)
		return err == nil
	})
	pid := freezeDriver(t, h)
	for name, call := range map[string]func(context.Context) error{
		"Log":   func(context.Context) error { return l.Log(message("message")) },
		"Stats": func(context.Context) error { h.Stats(); return nil },
		"ReadLogs": func(ctx context.Context) error {
			for _, err := range l.(logdriver.LogReader).ReadLogs(ctx, logdriver.ReadConfig{Tail: -1}).All() {
				if err == nil {
					return errors.New("a stopped driver answered")
				}
			}
			return nil
		},
		"Drivers": func(ctx context.Context) error {
			if list := h.Drivers(ctx); len(list) != 1 || list[0].Err == nil {
				return errors.New("a stopped driver was described")
			}
			return nil
		},
	} {
		within(t, name, call)
	}
	within(t, "Close of a logger", func(context.Context) error {
		if err := l.Close(); err == nil {
			return errors.New("a message that was not stored counts as delivered")
		}
		return nil
	})
	within(t, "Close of the host", func(ctx context.Context) error {
		_ = h.Close(ctx)
		return nil
	})
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("the stopped process is still there: %v", err)
	}
}

// stallTicks is how many ticks of stallTick a call may take: less than any default of
// host.Timeouts, and far more than the deadlines that the test sets.
const (
	stallTick  = 50 * time.Millisecond
	stallTicks = int(4 * time.Second / stallTick)
)

// within fails if call takes far longer than the deadlines allow. It counts ticks,
// which are fewer where the machine leaves this process no time.
func within(t *testing.T, name string, call func(context.Context) error) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- call(testContext(t)) }()
	tick := time.NewTicker(stallTick)
	defer tick.Stop()
	for range stallTicks {
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			return
		case <-tick.C:
		}
	}
	t.Fatalf("%s does not return", name)
}
