package logfile

import (
	"errors"
	"fmt"
	"time"
)

// errExpired tells that Until has passed while there was nothing to read.
var errExpired = errors.New("expired")

// follow delivers g from an offset and all files that come after it.
func (r *reading) follow(g *generation, off int64) error {
	expiry, stop := r.expiry()
	defer stop()
	for {
		st, err := r.followFile(g, off, expiry)
		if err != nil || st == ended {
			g.close()
			return err
		}
		n, err := r.successor(g, expiry)
		g.close()
		if err != nil || n == nil {
			return err
		}
		g, off = n, 0
		r.gen++
	}
}

// expiry returns a channel that is ready when a future Until has passed. An
// Until in the past says nothing about when such messages arrive.
func (r *reading) expiry() (<-chan time.Time, func() bool) {
	if !r.expires {
		return nil, func() bool { return true }
	}
	t := time.NewTimer(time.Until(r.cfg.Until) + lateness)
	return t.C, t.Stop
}

// followFile delivers g until it is complete.
func (r *reading) followFile(g *generation, off int64, expiry <-chan time.Time) (state, error) {
	sc, err := r.scan(g, off, r.tracker.limit(g))
	if err != nil {
		return rotated, r.unreadable(g, off, err)
	}
	seen := beginning{g: g}
	if src, ok := sc.src.(*fileSource); ok {
		src.same = seen.same
	}
	if _, err := r.restarted(sc, &seen); err != nil {
		return ended, err
	}
	for {
		st, wake, err := r.tracker.state(g)
		if err != nil {
			return ended, err
		}
		if err := r.drain(g, sc); err != nil {
			return ended, err
		}
		if again, err := r.restarted(sc, &seen); again || err != nil {
			if err != nil {
				return ended, err
			}
			continue
		}
		if st != growing {
			return st, r.finish(g, sc)
		}
		if err := r.reportDamage(); err != nil {
			return ended, err
		}
		sc.rewind()
		if r.expired {
			return ended, nil
		}
		if err := r.wait(wake, expiry); err != nil && !errors.Is(err, errExpired) {
			return ended, err
		}
	}
}

// restarted goes back to the beginning of a file if another program has truncated it.
func (r *reading) restarted(sc *scanner, seen *beginning) (bool, error) {
	if seen.g.packed {
		return false, nil
	}
	at, err := seen.look(sc.off)
	if err != nil {
		return false, fmt.Errorf("follow log: %w", err)
	}
	if at < 0 {
		return false, nil
	}
	r.damaged(seen.g, at, 0, errTruncated)
	r.from, r.matched = place{}, true
	sc.restart()
	return true, r.reportDamage()
}

func (r *reading) wait(wake <-chan struct{}, expiry <-chan time.Time) error {
	if err := r.out.flush(r); err != nil {
		return err
	}
	if r.expired {
		return errExpired
	}
	select {
	case <-wake:
		return nil
	case <-expiry:
		r.expired = true // there is one tick for all files
		return errExpired
	case <-r.w.WatchClose():
		return errDone
	case <-r.ctx.Done():
		return r.ctx.Err()
	}
}

// firstPause is for how long a reader lets a rotation go on that it has come
// upon. Nothing tells it the end.
const firstPause = 5 * time.Millisecond

// successor opens the file after g, waiting for it if a rotation is under way.
// It returns nil if the log ends with g.
func (r *reading) successor(g *generation, expiry <-chan time.Time) (*generation, error) {
	for pause := firstPause; ; pause = min(2*pause, pollInterval) {
		// The writer may rotate and close after the search for the next file: it
		// is asked for first.
		alive, err := r.tracker.alive()
		if err != nil {
			return nil, err
		}
		n, err := r.tracker.next(g)
		if n != nil || err != nil || !alive {
			return n, err
		}
		if err := r.sleep(pause, expiry); err != nil {
			if errors.Is(err, errExpired) {
				err = nil
			}
			return nil, err
		}
	}
}

func (r *reading) sleep(d time.Duration, expiry <-chan time.Time) error {
	wake := make(chan struct{})
	t := time.AfterFunc(d, func() { close(wake) })
	defer t.Stop()
	return r.wait(wake, expiry)
}
