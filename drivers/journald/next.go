package main

import (
	"context"
	"time"

	"github.com/logplug/logplug/drivers/journald/internal/journal"
)

// recheck is how soon to look again at what journald may not have finished.
const recheck = 10 * time.Millisecond

// next reads the next visible entry, and waits, for a bounded time, until it is finished
// or known to be damaged. An error with ok is about entries, one without ended the
// wait. gone may be nil.
func next(ctx context.Context, gone <-chan struct{}, entries *journal.Reader, e *journal.Entry) (ok bool, err error) {
	for {
		ok, err := entries.Next(e)
		if ok || !entries.Unsettled() {
			return ok, err
		}
		if err := look(ctx, gone, entries); err != nil {
			return false, err
		}
	}
}

// look refreshes what is visible after a short while.
func look(ctx context.Context, gone <-chan struct{}, entries *journal.Reader) error {
	soon := time.NewTimer(recheck)
	defer soon.Stop()
	select {
	case <-soon.C:
		return entries.Refresh()
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-gone:
		return errGone
	}
}
