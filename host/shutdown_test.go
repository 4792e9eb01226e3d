package host_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/shared/logdriver"
)

// closingHost is a host with a logger whose Shutdown waits for the sink, which hangs
// for as long as the file hang exists.
type closingHost struct {
	*host.Host
	hang     string
	sink     string
	messages int // that were accepted
	shutdown chan error
}

func newClosingHost(t *testing.T, spool string) *closingHost {
	t.Helper()
	h := &closingHost{hang: filepath.Join(t.TempDir(), "hang"), shutdown: make(chan error, 1)}
	if err := os.WriteFile(h.hang, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var err error
	h.Host, err = host.New(hostConfig(t, func(c *host.Config) { c.Spool.Dir = spool }))
	if err != nil {
		t.Fatal(err)
	}
	info, file := sinkInfo(t, map[string]string{"hang-file": h.hang})
	h.sink = file
	l := open(t, h.Host, "sink", info)
	logLine(t, l, "message 0")
	h.messages = 1
	ctx := testContext(t)
	go func() { h.shutdown <- l.Shutdown(ctx) }()
	eventually(t, "Shutdown to begin", func() bool {
		err := l.Log(message("message %d", h.messages))
		if err == nil {
			h.messages++
		}
		return errors.Is(err, logdriver.ErrClosed)
	})
	return h
}

// TestCloseCutsAShutdownOff when its own time is up, and tells.
func TestCloseCutsAShutdownOff(t *testing.T) {
	t.Parallel()
	for name, spool := range map[string]string{"in memory": "", "in a directory": t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newClosingHost(t, spool)
			gone, cancel := context.WithCancel(context.Background())
			cancel()
			if err := h.Close(gone); err == nil || !strings.Contains(err.Error(), "still being closed") {
				t.Errorf("Close: %v", err)
			}
			var u *logdriver.UndeliveredError
			if err := <-h.shutdown; !errors.As(err, &u) {
				t.Errorf("Shutdown: %v", err)
			}
		})
	}
}

// TestCloseWaitsForAShutdown that somebody else has called.
func TestCloseWaitsForAShutdown(t *testing.T) {
	t.Parallel()
	h := newClosingHost(t, "")
	closed := make(chan error, 1)
	ctx := testContext(t)
	go func() { closed <- h.Close(ctx) }()
	eventually(t, "Close to begin", func() bool {
		_, err := h.Describe(ctx, "sink")
		return err != nil
	})
	if err := os.Remove(h.hang); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(<-closed, <-h.shutdown); err != nil {
		t.Error(err)
	}
	checkSink(t, h.sink, h.messages, false)
}
