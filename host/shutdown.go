package host

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/logplug/logplug/shared/logdriver"
)

// shutdownLoggers shuts down all loggers, each within ctx.
func (h *Host) shutdownLoggers(ctx context.Context, drivers []*driver) (errs []error) {
	var (
		wg sync.WaitGroup
		mu sync.Mutex
	)
	seen := make(map[any]bool) // a logger and its cache are shut down together
	for _, d := range drivers {
		for _, l := range d.unfinished() {
			whole := l.whole()
			if seen[whole] {
				continue
			}
			seen[whole] = true
			wg.Go(func() {
				err := whole.Shutdown(ctx)
				if errors.Is(err, logdriver.ErrClosed) {
					err = l.awaitBoth(ctx)
				}
				if err != nil {
					mu.Lock()
					defer mu.Unlock()
					errs = append(errs, err)
				}
			})
		}
	}
	wg.Wait()
	return errs
}

// shutdownRest is for when no process runs any more, and there is nothing to wait for:
// nobody may use the spool when it is closed. Each logger is shut down alone.
func (h *Host) shutdownRest(drivers []*driver) (errs []error) {
	over, cancel := context.WithCancelCause(context.Background())
	cancel(errHostClosed)
	for _, d := range drivers {
		for _, l := range d.unfinished() {
			if err := l.Shutdown(over); err != nil && !errors.Is(err, logdriver.ErrClosed) {
				errs = append(errs, err)
			}
			<-l.shut
		}
	}
	return errs
}

// awaitBoth waits for a Shutdown that somebody else has called, of l and of what it is paired
// with.
func (l *logger) awaitBoth(ctx context.Context) error {
	l.mu.Lock()
	pair := l.pair
	l.mu.Unlock()
	if pair == nil {
		return l.awaitShut(ctx)
	}
	return errors.Join(pair.logger.awaitShut(ctx), pair.cache.awaitShut(ctx))
}

// awaitShut waits for a Shutdown that somebody else has called.
func (l *logger) awaitShut(ctx context.Context) error {
	select {
	case <-l.shut:
		return nil
	default:
	}
	select {
	case <-l.shut:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("logger %s is still being closed: %w", l.label(), context.Cause(ctx))
	}
}

// beginEnd keeps l known to Close when it is none of d's loggers any more.
func (d *driver) beginEnd(l *logger) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ending[l] = struct{}{}
}

// endShutdown tells those who wait for it that Shutdown has finished.
func (l *logger) endShutdown() {
	d := l.driver
	d.mu.Lock()
	delete(d.ending, l)
	d.mu.Unlock()
	close(l.shut)
}

// unfinished returns the loggers of which Shutdown has not finished.
func (d *driver) unfinished() []*logger {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := maps.Clone(d.loggers)
	maps.Copy(all, d.ending)
	return slices.Collect(maps.Keys(all))
}

// withinHost returns a context that ends with ctx, or when no process of the driver
// will run any more.
func (l *logger) withinHost(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	unlink := context.AfterFunc(l.driver.ctx, func() { cancel(context.Cause(l.driver.ctx)) })
	return ctx, func() {
		unlink()
		cancel(nil)
	}
}
