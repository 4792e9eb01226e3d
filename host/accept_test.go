package host

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/logplug/logplug/host/internal/spool"
	"github.com/logplug/logplug/shared/logdriver"
)

func lineMessage(text string) *logdriver.Message {
	m := logdriver.NewMessage()
	m.Line = append(m.Line, text...)
	return m
}

// fullStore has no room.
type fullStore struct{}

func (fullStore) Alloc(spool.Stream, uint64, int, int) (spool.Block, error) {
	return nil, spool.ErrFull
}

// TestLogWaitsNoLongerThanItsDeadline where others take whatever room there is.
func TestLogWaitsNoLongerThanItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := fakeDriver(t, fullStore{})
		l := fakeLogger(d, "c", nil)
		limit := d.host.cfg.Timeouts.Log
		logged := make(chan struct{})
		go func() {
			tick := time.NewTicker(limit * 2 / 5)
			defer tick.Stop()
			for range 100 {
				select {
				case <-tick.C:
					l.room.free(1, 1)
				case <-logged:
					return
				}
			}
		}()
		began := time.Now()
		m := lineMessage("line")
		defer logdriver.PutMessage(m)
		err := l.Log(m)
		close(logged)
		if waited := time.Since(began); !errors.Is(err, logdriver.ErrSpoolFull) || waited != limit {
			t.Errorf("Log has waited for %v, want %v: %v", waited, limit, err)
		}
		if st := l.Stats(); st.Waits != 1 {
			t.Errorf("%d calls have waited", st.Waits)
		}
	})
}

// fullDiskStore is on a disk that is full for a while.
type fullDiskStore struct {
	spool.Memory
	until time.Time
}

func (s *fullDiskStore) Alloc(stream spool.Stream, first uint64, want, need int) (spool.Block, error) {
	if time.Now().Before(s.until) {
		return nil, fmt.Errorf("%w: %w", spool.ErrFull, syscall.ENOSPC)
	}
	return s.Memory.Alloc(stream, first, want, need)
}

// TestLogTellsOfAFullDisk when its time is up; it notices by itself that there is room.
func TestLogTellsOfAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &fullDiskStore{}
		d := fakeDriver(t, store)
		limit := d.host.cfg.Timeouts.Log
		l := fakeLogger(d, "c", nil)
		m := lineMessage("line")
		store.until = time.Now().Add(3 * limit / 2)
		began := time.Now()
		err := l.Log(m)
		if waited := time.Since(began); !errors.Is(err, logdriver.ErrSpoolFull) || !errors.Is(err, syscall.ENOSPC) || waited != limit {
			t.Errorf("Log has waited for %v, want %v: %v", waited, limit, err)
		}
		if err := l.Log(m); err != nil {
			t.Error(err)
		}
		if waited := time.Since(began); waited > 3*limit/2+spool.RetryPause {
			t.Errorf("Log has noticed after %v that there is room", waited)
		}
		if st := l.Stats(); st.Waits != 2 || st.Accepted.Messages != 1 || !strings.Contains(st.LastFailure, syscall.ENOSPC.Error()) {
			t.Errorf("stats: %+v", st)
		}
		settleAll(d)
	})
}

// TestLogDoesNotWaitForEverForTheDisk that is to make a message durable.
func TestLogDoesNotWaitForEverForTheDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := fakeDriver(t, spool.Memory{})
		hang := make(chan struct{})
		limit := d.host.cfg.Timeouts.Log
		s := d.host.spool
		s.always, s.limit, s.syncer = true, limit, spool.NewSyncer(func() error { <-hang; return nil })
		l := fakeLogger(d, "c", nil)
		began := time.Now()
		m := lineMessage("line")
		defer logdriver.PutMessage(m)
		if err := l.Log(m); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != limit {
			t.Errorf("Log has waited for %v, want %v: %v", time.Since(began), limit, err)
		}
		if st := l.Stats(); st.Accepted.Messages != 1 {
			t.Errorf("stats: %+v", st)
		}
		close(hang)
		s.syncer.Stop()
		settleAll(d)
	})
}

// TestLogWaitsForTheCacheFirst: while the cache has no room, the logger has not
// accepted what the cache lacks.
func TestLogWaitsForTheCacheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := fakeDriver(t, spool.Memory{})
		primary := fakeLogger(d, "c", nil)
		cache := fakeLogger(d, "c", func(r *request) {
			r.cacheOf = "fake"
			r.overflow = overflow{drop: dropOldest, bytes: 1, patience: time.Hour}
		})
		l := newCachedLogger(primary, cache)
		if err := l.Log(lineMessage("first")); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- l.Log(lineMessage("second")) }()
		synctest.Wait()
		if p, c := primary.Stats(), cache.Stats(); c.Waits != 1 || p.Accepted.Messages != 1 || c.Accepted.Messages != 1 {
			t.Errorf("while the cache is waited for, %d messages are accepted, %d by the cache", p.Accepted.Messages, c.Accepted.Messages)
		}
		cache.mu.Lock()
		messages, size := d.host.spool.ack(cache.queue, 1)
		cache.freeRoom(int64(messages), size)
		cache.notify()
		cache.mu.Unlock()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if p, c := primary.Stats(), cache.Stats(); p.Accepted.Messages != 2 || c.Accepted.Messages != 2 || c.Dropped.Messages != 0 {
			t.Errorf("%d messages are accepted; the cache: %+v", p.Accepted.Messages, c)
		}
	})
}

// BenchmarkLog takes messages into a spool that is emptied now and then.
func BenchmarkLog(b *testing.B) {
	d := fakeDriver(b, spool.Memory{})
	plain := fakeLogger(d, "plain", nil)
	cache := fakeLogger(d, "cached", func(r *request) {
		r.overflow = overflow{drop: dropOldest, bytes: r.overflow.bytes, patience: cachePatience}
	})
	for name, l := range map[string]Logger{"plain": plain, "cached": newCachedLogger(fakeLogger(d, "cached", nil), cache)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := range b.N {
				m := lineMessage("a line of a log, which is of a usual length and not remarkable in any other way")
				m.Source, m.Attrs = "stdout", append(m.Attrs, logdriver.Attr{Key: "region", Value: "eu"}, logdriver.Attr{Key: "job", Value: "nightly"})
				if err := l.Log(m); err != nil {
					b.Fatal(err)
				}
				if i%1000 == 999 {
					settleAll(d)
				}
			}
		})
	}
}

// settleAll acknowledges what the spools of d's loggers hold.
func settleAll(d *driver) {
	for _, l := range d.snapshot() {
		l.mu.Lock()
		messages, size := d.host.spool.ack(l.queue, l.queue.Last())
		l.freeRoom(int64(messages), size)
		l.mu.Unlock()
	}
}
