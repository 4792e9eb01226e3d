package drivertest_test

import (
	"context"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/sdk"
	"github.com/logplug/logplug/sdk/drivertest"
	"github.com/logplug/logplug/shared/logdriver"
)

// squeamish is a driver with code that panics on some messages.
func squeamish() sdk.Driver[struct{}] {
	return sdk.Driver[struct{}]{
		Name: "squeamish", Version: "1.0.0",
		Open: func(context.Context, logdriver.Info, *struct{}) (logdriver.Logger, error) { return picky{}, nil },
	}
}

type picky struct{ discard }

func (picky) LogBatch(_ context.Context, msgs []*logdriver.Message) error {
	for _, m := range msgs {
		if string(m.Line) == "poison" {
			panic("cannot stomach it")
		}
	}
	return nil
}

// text collects what several goroutines write.
type text struct {
	mu sync.Mutex
	b  strings.Builder
}

func (s *text) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *text) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// TestPanicReachesTheHost: the stack of a panic in a driver's code is in its host's
// log, once, however often the message that is to blame was tried.
func TestPanicReachesTheHost(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var log text
	h, err := host.New(host.Config{
		PluginDirs: []string{filepath.Dir(drivertest.Self(t, "squeamish"))},
		Logger:     hclog.New(&hclog.LoggerOptions{Output: &log, JSONFormat: true}),
		Timeouts:   host.Timeouts{Start: time.Minute, Call: time.Minute, Log: time.Minute, Close: time.Minute, Health: time.Minute},
	})
	if err != nil {
		t.Fatal(err)
	}
	l, err := h.Open(ctx, "squeamish", logdriver.Info{ContainerID: "panics"})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		for _, line := range []string{"a", "b", "c", "poison", "d", "e", "f"} {
			m := logdriver.NewMessage()
			m.Line, m.Source, m.Timestamp = append(m.Line, line...), "stdout", time.Now()
			if err := l.Log(m); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := l.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if s := l.Stats(); s.Failed.Messages != 3 || s.Acked.Messages != 18 {
		t.Errorf("%d messages were acknowledged and %d failed, want 18 and 3", s.Acked.Messages, s.Failed.Messages)
	}
	if err := h.Close(ctx); err != nil { // the driver's log is complete then
		t.Error(err)
	}
	stacks := strings.Count(log.String(), "panic_test.go")
	if stacks != 3 {
		t.Errorf("%d stacks are in the host's log, want one for each of 3 messages:\n%s", stacks, log.String())
	}
}
