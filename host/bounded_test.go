package host

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/logplug/logplug/host/internal/spool"
	"github.com/logplug/logplug/shared/logdriver"
)

// acknowledge settles l's messages up to seq.
func acknowledge(l *logger, seq uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	messages, size := l.driver.host.spool.ack(l.queue, seq)
	l.freeRoom(int64(messages), size)
	l.notify()
}

// trickle acknowledges one message of l after each pause, until stopped.
func trickle(l *logger, pause time.Duration) (stop func()) {
	ended, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		tick := time.NewTicker(pause)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				acknowledge(l, l.acked()+1)
			case <-ended:
				return
			}
		}
	}()
	return func() { close(ended); <-gone }
}

// The parts of a long line wait no longer than the line may, however slowly the driver
// makes room.
func TestPartsShareOneDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := fakeDriver(t, spool.Memory{})
		l := fakeLogger(d, "c", func(r *request) { r.overflow.bytes = 1 }) // room for one when it is empty
		l.maxLine = 10
		limit := d.host.cfg.Timeouts.Log
		if err := l.Log(lineMessage("first")); err != nil {
			t.Fatal(err)
		}
		stop := trickle(l, limit*3/5)
		defer stop()
		m := lineMessage(strings.Repeat("x", 100))
		defer logdriver.PutMessage(m)
		began := time.Now()
		if err := l.Log(m); !errors.Is(err, logdriver.ErrSpoolFull) || time.Since(began) != limit {
			t.Errorf("Log has waited for %v, want %v: %v", time.Since(began), limit, err)
		}
		if st := l.Stats(); st.Waits != 1 {
			t.Errorf("%d calls have waited", st.Waits)
		}
	})
}

// slowCache is a logger with a cache that is full and takes a message now and then.
func slowCache(t *testing.T, d *driver, patience time.Duration) (l *cachedLogger, cache *logger) {
	t.Helper()
	cache = fakeLogger(d, "c", func(r *request) {
		r.cacheOf, r.overflow.drop, r.overflow.patience = "fake", dropNewest, patience
	})
	l = newCachedLogger(fakeLogger(d, "c", nil), cache)
	for range 100 {
		if err := l.Log(lineMessage("line")); err != nil {
			t.Fatal(err)
		}
	}
	cache.mu.Lock()
	cache.overflow.bytes = 1
	cache.mu.Unlock()
	return l, cache
}

// A cache that makes some progress all the time, and never has room, holds Log up for as
// long as the driver may.
func TestTricklingCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := fakeDriver(t, spool.Memory{})
		limit := d.host.cfg.Timeouts.Log
		l, cache := slowCache(t, d, limit/4)
		stop := trickle(cache, limit/5)
		defer stop()
		began := time.Now()
		if err := l.Log(lineMessage("line")); err != nil {
			t.Error(err)
		}
		if waited := time.Since(began); waited < limit || waited > limit+limit/5 {
			t.Errorf("Log has waited for %v, want %v", waited, limit)
		}
		if st := cache.Stats(); st.Dropped.Messages != 1 {
			t.Errorf("statistics of the cache: %+v", st)
		}
	})
}

// A closing that is out of time does not wait for a cache that a call of Log waits for.
func TestClosingHurriesTheCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := fakeDriver(t, spool.Memory{})
		l, cache := slowCache(t, d, time.Hour)
		leaveRoomForAPart(cache)
		logged := make(chan error, 1)
		go func() { logged <- l.Log(lineMessage(strings.Repeat("x", 1000))) }()
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		began := time.Now()
		var left *logdriver.UndeliveredError
		if err := l.Shutdown(ctx); !errors.As(err, &left) {
			t.Errorf("Shutdown: %v", err)
		}
		if err := <-logged; err != nil {
			t.Errorf("Log: %v", err)
		}
		if took := time.Since(began); took > time.Minute {
			t.Errorf("closing took %v", took)
		}
	})
}

// leaveRoomForAPart makes lines of cache have parts, of which one has room.
func leaveRoomForAPart(cache *logger) {
	cache.mu.Lock()
	defer cache.mu.Unlock()
	cache.overflow.bytes, cache.maxLine = cache.queue.Bytes()+200, 100
}

// eventually returns when is does so, and fails if that takes too long.
func eventually(t *testing.T, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("it does not come to that")
		}
	}
}

// A cache that makes progress gets what the logger had accepted before it was closed. Nothing else waits
// for that.
func TestClosingLetsTheCacheCatchUp(t *testing.T) {
	d := fakeDriver(t, spool.Memory{})
	l, cache := slowCache(t, d, time.Hour)
	leaveRoomForAPart(cache)
	logged, shut := make(chan error, 1), make(chan error, 1)
	go func() { logged <- l.Log(lineMessage(strings.Repeat("x", 1000))) }()
	eventually(t, func() bool { return cache.Stats().Waits == 1 })
	late := make(chan error, 1)
	go func() { late <- l.Log(lineMessage(strings.Repeat("y", 100))) }()
	eventually(t, func() bool { return cache.Stats().Waits == 2 })
	go func() { shut <- l.Shutdown(context.Background()) }()
	if err := <-late; !errors.Is(err, logdriver.ErrClosed) {
		t.Errorf("Log of what was not accepted: %v", err)
	}
	if err := l.Log(lineMessage("later")); !errors.Is(err, logdriver.ErrClosed) {
		t.Errorf("Log after closing: %v", err)
	}
	acknowledge(l.logger, 101)
	for seq := uint64(1); seq <= 110; seq++ {
		eventually(t, func() bool { return cache.Stats().Accepted.Messages > seq || isClosing(cache) })
		acknowledge(cache, seq)
	}
	for _, c := range []<-chan error{logged, shut} {
		if err := <-c; err != nil {
			t.Error(err)
		}
	}
	if st := cache.Stats(); st.Accepted.Messages != 110 || st.Dropped.Messages != 0 || st.Spooled.Messages != 0 {
		t.Errorf("statistics of the cache: %+v", st)
	}
}

// A cache that makes none is given up.
func TestClosingGivesUpAStalledCache(t *testing.T) {
	d := fakeDriver(t, spool.Memory{})
	l, cache := slowCache(t, d, time.Hour)
	leaveRoomForAPart(cache)
	logged := make(chan error, 1)
	go func() { logged <- l.Log(lineMessage(strings.Repeat("x", 1000))) }()
	eventually(t, func() bool { return cache.Stats().Waits == 1 })
	acknowledge(l.logger, 101)
	if err := l.Shutdown(context.Background()); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if err := <-logged; err != nil {
		t.Errorf("Log: %v", err)
	}
	if st := cache.Stats(); st.Dropped.Messages == 0 {
		t.Errorf("statistics of the cache: %+v", st)
	}
}

func isClosing(l *logger) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closing
}

// Who waits in Flush learns that the logger was closed without its messages having been
// delivered.
func TestFlushEndsWithTheLogger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := fakeLogger(fakeDriver(t, spool.Memory{}), "c", nil)
		if err := l.Log(lineMessage("line")); err != nil {
			t.Fatal(err)
		}
		flushed := make(chan error, 1)
		go func() { flushed <- l.Flush(context.Background()) }()
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		var left *logdriver.UndeliveredError
		if err := l.Shutdown(ctx); !errors.As(err, &left) {
			t.Errorf("Shutdown: %v", err)
		}
		synctest.Wait()
		select {
		case err := <-flushed:
			if !errors.Is(err, logdriver.ErrClosed) {
				t.Errorf("Flush: %v", err)
			}
		default:
			t.Fatal("Flush waits on")
		}
	})
}

// Close waits for a Shutdown under way of a logger and its cache, whichever is ready first.
func TestClosingWaitsForBothParts(t *testing.T) {
	for range 20 { // loggers come in any order
		synctest.Test(t, func(t *testing.T) {
			d := fakeDriver(t, spool.Memory{})
			l, cache := slowCache(t, d, time.Hour)
			shut := make(chan error, 1)
			go func() { shut <- l.Shutdown(context.Background()) }()
			synctest.Wait()
			closed := make(chan []error, 1)
			go func() { closed <- d.host.shutdownLoggers(context.Background(), []*driver{d}) }()
			synctest.Wait()
			acknowledge(cache, 100)
			synctest.Wait()
			select {
			case errs := <-closed:
				t.Fatalf("it is not waited for: %v", errs)
			default:
			}
			acknowledge(l.logger, 100)
			if errs := <-closed; len(errs) > 0 {
				t.Error(errs)
			}
			if err := <-shut; err != nil {
				t.Error(err)
			}
		})
	}
}
