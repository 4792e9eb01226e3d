package cli

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/host/cmd/logplug/internal/jobs"
	"github.com/logplug/logplug/host/internal/spool"
)

const (
	// spoolTick is how often is looked whether a spool is empty.
	spoolTick = 200 * time.Millisecond
	// spoolTurn is for how long a spool of which nothing is taken keeps others waiting in
	// the first round, and maxSpoolTurn in later ones.
	spoolTurn    = 10 * time.Second
	maxSpoolTurn = 5 * time.Minute
)

// spoolsDir is where containers that are logged alone have their spools, by job.
func spoolsDir(store *jobs.Store) string { return filepath.Join(store.Dir(), "spools") }

// deliverSpools delivers, until ctx ends, what containers that were logged alone left
// in their spools, and removes them. One whose sink is down, or whose driver is not there, has
// its turn again when the others had theirs. Those that are in use are left alone.
func (a *app) deliverSpools(ctx context.Context, store *jobs.Store) {
	entries, err := os.ReadDir(spoolsDir(store))
	if err != nil {
		return // there are none
	}
	for turn := spoolTurn; ; turn = min(2*turn, maxSpoolTurn) {
		round := time.After(turn)
		entries = slices.DeleteFunc(entries, func(e os.DirEntry) bool {
			return !e.IsDir() || ctx.Err() == nil && a.deliverSpool(ctx, store, filepath.Join(spoolsDir(store), e.Name()), turn)
		})
		if len(entries) == 0 {
			return
		}
		select {
		case <-round:
		case <-ctx.Done():
			return
		}
	}
}

// deliverSpool returns false when something stays in the spool: nothing was taken for the
// time of a turn, or it cannot be delivered at present, or ctx ended.
func (a *app) deliverSpool(ctx context.Context, store *jobs.Store, dir string, turn time.Duration) (done bool) {
	h, stop, err := a.openHost(hclog.Warn, host.Config{
		Spool: host.SpoolConfig{Dir: dir, HostBytes: aloneSpool}, DeadLetters: store.DeadLetters(), NoWatch: true,
	})
	if err != nil {
		return a.leaveSpool(err)
	}
	done = awaitEmpty(ctx, h, turn)
	stop()
	if !done {
		return false
	}
	done, err = removeSpool(dir)
	if err != nil {
		return a.leaveSpool(err)
	}
	return done
}

// leaveSpool tells whether a spool that cannot be opened or removed is somebody else's.
func (a *app) leaveSpool(err error) bool {
	if errors.Is(err, spool.ErrInUse) {
		return true
	}
	a.notices.Printf("what a container that was logged alone has left: %v", err)
	return false
}

// awaitEmpty waits for as long as a turn takes, and longer while messages are taken, until
// the spool is empty. It returns whether it is.
func awaitEmpty(ctx context.Context, h *host.Host, turn time.Duration) bool {
	tick := time.NewTicker(spoolTick)
	defer tick.Stop()
	patience := time.NewTimer(turn)
	defer patience.Stop()
	for before := h.Stats().SpooledMessages; before > 0; {
		select {
		case <-tick.C:
		case <-patience.C:
			return false
		case <-ctx.Done():
			return false
		}
		if now := h.Stats().SpooledMessages; now < before {
			before = now
			patience.Reset(turn)
		}
	}
	return true
}
