package natslog

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/logplug/logplug/shared/logdriver"
)

// unreachable is a log whose servers never answer.
func unreachable() *log {
	never := &link{pool: newPool(), connected: make(chan struct{}), cancel: func() {}}
	return &log{link: never, timeout: 5 * time.Second}
}

// A reading that does not follow ends, with an error, when the server stays away.
func TestServerStaysAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := logdriver.NewLogWatcher()
		newReading(unreachable(), logdriver.ReadConfig{Tail: -1}, w, state{at: 10}, nil).start(t.Context())
		var err error
		for _, e := range w.All() {
			err = e
		}
		if err == nil || !strings.Contains(err.Error(), "no progress") {
			t.Errorf("it ends with %v", err)
		}
	})
}

// Neither does looking for what was removed wait for ever.
func TestGapWhileServerIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReading(unreachable(), logdriver.ReadConfig{}, nil, state{}, nil)
		r.index = 1
		if _, err := r.checkIndex(t.Context(), &meta{index: 3}); !errors.Is(err, context.DeadlineExceeded) || r.index != 1 {
			t.Errorf("at %d: %v", r.index, err)
		}
	})
}

// Pieces of lines that never come are not kept without bound, whatever their size.
func TestPiecesAreBounded(t *testing.T) {
	r := newReading(unreachable(), logdriver.ReadConfig{}, nil, state{}, nil)
	for range 3 * maxBatch {
		r.keep(nil)
	}
	if len(r.pieces) > maxBatch {
		t.Errorf("%d empty pieces", len(r.pieces))
	}
	for range 10 {
		r.keep(make([]byte, logdriver.MaxLineBytes/4))
	}
	if r.length > logdriver.MaxLineBytes || len(r.pieces) != 4 {
		t.Errorf("%d pieces of %d bytes", len(r.pieces), r.length)
	}
}
