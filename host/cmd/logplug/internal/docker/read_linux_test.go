package docker

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/shared/logdriver"
)

// readable is a logger that can be read.
type readable struct {
	host.Logger
	read   func()
	closed atomic.Bool
}

func (r *readable) ReadLogs(context.Context, logdriver.ReadConfig) *logdriver.LogWatcher {
	r.read()
	return logdriver.NewLogWatcher()
}

func (r *readable) Shutdown(context.Context) error {
	r.closed.Store(true)
	return nil
}

// readingOf returns a service with a container whose logger is l.
func readingOf(t *testing.T, l host.Logger) (*Service, *container) {
	t.Helper()
	s := &Service{
		cfg: Config{StateDir: t.TempDir()}, log: hclog.NewNullLogger(), processes: newProcesses(t.TempDir()),
		describer:  describer{known: map[string]described{"d": {at: time.Now()}}},
		containers: make(map[string]*container),
	}
	c := &container{service: s, key: "c", log: s.log, logger: l, opened: make(chan struct{}), done: make(chan struct{})}
	s.containers["c"] = c
	return s, c
}

// A logger is not closed while a reading of it begins.
func TestReadAtTheEnd(t *testing.T) {
	t.Parallel()
	l := &readable{}
	s, c := readingOf(t, l)
	ended := make(chan struct{})
	l.read = func() {
		if c.reading.TryLock() {
			c.reading.Unlock()
			t.Error("it may be closed")
		}
		go func() {
			defer close(ended)
			c.close()
		}()
		for over := false; !over && c.reading.TryRLock(); { // until it waits
			c.reading.RUnlock()
			select {
			case <-ended:
				over = true
			default:
			}
		}
		if l.closed.Load() {
			t.Error("it is closed")
		}
	}
	if _, err := s.Read(t.Context(), "d", logdriver.Info{ContainerID: "c"}, logdriver.ReadConfig{}); err != nil {
		t.Error(err)
	}
	await(t, ended, "the container ends")
	if !l.closed.Load() {
		t.Error("it is not closed afterwards")
	}
}

// That there is no log is an error where there is output.
func TestReadBeforeTheLog(t *testing.T) {
	t.Parallel()
	other := errors.New("another error")
	for name, c := range map[string]struct {
		message bool
		err     error
		want    string
	}{
		"no log":      {false, logdriver.ErrNoLog, "what c has written is not logged yet"},
		"other":       {false, other, other.Error()},
		"a beginning": {true, other, ""},
	} {
		w := logdriver.NewLogWatcher()
		go func() {
			if c.message {
				w.Send(t.Context(), logdriver.NewMessage())
			}
			w.Fail(c.err)
		}()
		err := unsettled(t.Context(), w, &logdriver.Info{ContainerID: "c"})
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || errors.Is(err, logdriver.ErrNoLog)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
