package logfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"
)

// retention removes full files that have become too old. It costs nothing but a timer
// while there are files to wait for.
type retention struct {
	mu      sync.Mutex
	stopped bool
	timer   *time.Timer
	running sync.WaitGroup
}

// maxRetentionWait bounds the trust in a clock that may be set.
const maxRetentionWait = time.Hour

// check removes what is too old, and sees to it that the rest is removed in time.
func (r *retention) check(l *Log) {
	if l.cfg.MaxAge == 0 {
		return
	}
	wait, err := l.expire(time.Now().Add(-l.cfg.MaxAge))
	if err != nil {
		l.cfg.OnError(fmt.Errorf("remove what is older than %v: %w", l.cfg.MaxAge, err))
		wait = maxRetentionWait
	}
	if wait > 0 {
		r.schedule(l, min(wait, maxRetentionWait))
	}
}

func (r *retention) schedule(l *Log, wait time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped || r.timer != nil {
		return
	}
	r.running.Add(1)
	r.timer = time.AfterFunc(wait, func() {
		defer r.running.Done()
		r.mu.Lock()
		r.timer = nil
		r.mu.Unlock()
		r.check(l)
	})
}

// stop ends it, and waits for a removal that is under way.
func (r *retention) stop() {
	r.mu.Lock()
	r.stopped = true
	if r.timer != nil && r.timer.Stop() {
		r.running.Done()
	}
	r.mu.Unlock()
	r.running.Wait()
}

// expire removes the files that were last written to before a time, from the oldest
// up to the first that is younger. It returns after how long that one has the
// age of those; 0 if there is none.
func (l *Log) expire(before time.Time) (wait time.Duration, err error) {
	l.files.Lock()
	defer l.files.Unlock()
	for slot := len(l.slots); slot > 0; slot-- {
		key := l.key(slot)
		written, err := l.names.modified(key)
		switch {
		case errors.Is(err, fs.ErrNotExist): // a gap, or removed by others
		case err != nil:
			return 0, err
		case !written.Before(before):
			return max(written.Sub(before), time.Millisecond), nil
		}
		if err := l.names.remove(key); err != nil {
			return 0, err
		}
		l.slots = l.slots[:slot-1]
	}
	return 0, nil
}

// modified returns when a file was last written to. Compressing it keeps that.
func (n names) modified(key uint64) (time.Time, error) {
	fi, err := os.Stat(n.file(key))
	if errors.Is(err, fs.ErrNotExist) {
		fi, err = os.Stat(n.packed(key))
	}
	if err != nil {
		return time.Time{}, err
	}
	return fi.ModTime(), nil
}
