package cli

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/host/cmd/logplug/internal/jobs"
	"github.com/logplug/logplug/host/cmd/logplug/internal/render"
	"github.com/logplug/logplug/shared/logdriver"
)

const (
	// jobTick is how often a job that is followed is looked at.
	jobTick = 250 * time.Millisecond
	// idleEnd is for how long a driver may say nothing after the end of a job before
	// it is taken for one that does not notice that end.
	idleEnd = 2 * time.Second
)

// reader reads the log of one job.
type reader struct {
	*app
	store    *jobs.Store
	job      *jobs.Job
	host     *host.Host
	cfg      logdriver.ReadConfig
	printer  render.Printer
	position position
}

// read reads until the selection is exhausted; with Follow, not before the job has
// ended. A driver's process may end in between, and be replaced by the job's host:
// then reading goes on where it was.
func (r *reader) read(ctx context.Context) error {
	if err := r.awaitStart(ctx); err != nil {
		return err
	}
	h, stop, err := r.openHost(hclog.Warn, host.Config{})
	if err != nil {
		return err
	}
	defer stop()
	r.host = h
	for {
		active := r.active()
		if err := r.readOnce(ctx, active); err != nil {
			return err
		}
		if !r.cfg.Follow || !active || r.untilPassed() {
			return nil
		}
		if err := pause(ctx, jobTick); err != nil {
			return err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// awaitStart waits, before following a job whose driver is still being opened,
// until that is done: there may be no log yet.
func (r *reader) awaitStart(ctx context.Context) error {
	for r.cfg.Follow && r.job.State() == jobs.Starting {
		if err := pause(ctx, jobTick); err != nil {
			return err
		}
		job, err := r.store.Get(r.job.ID)
		if err != nil {
			return err
		}
		r.job = job
	}
	return nil
}

// active tells whether the job has not ended. A record that was removed or
// replaced is that of a job that has.
func (r *reader) active() bool {
	job, err := r.store.Get(r.job.ID)
	return err == nil && job.Created.Equal(r.job.Created) && job.Active()
}

func (r *reader) untilPassed() bool {
	return !r.cfg.Until.IsZero() && time.Now().After(r.cfg.Until)
}

// readOnce prints one reading.
func (r *reader) readOnce(ctx context.Context, active bool) error {
	cfg, skip := r.position.resume(r.cfg)
	cfg.Follow = cfg.Follow && active
	w := r.host.ReadLogs(ctx, r.job.Driver, r.job.Info, cfg)
	defer w.Close()
	if err := r.print(ctx, w, skip, cfg.Follow); err != nil {
		return err
	}
	if err := r.printer.Flush(); err != nil {
		return quietPipe(err)
	}
	err := ended(w)
	if errors.Is(err, logdriver.ErrNoLog) && active {
		err = nil // nothing was written so far
	}
	if err == nil {
		r.hostLog.release()
	}
	return err
}

// ended returns the error of a watcher whose messages have all been received.
func ended(w *logdriver.LogWatcher) error {
	select {
	case err := <-w.Err:
		return err
	default:
		return nil
	}
}

// print prints messages, but for the first skip, until there are no more.
func (r *reader) print(ctx context.Context, w *logdriver.LogWatcher, skip int, follow bool) error {
	tick := time.NewTicker(jobTick)
	defer tick.Stop()
	last := time.Now()
	for {
		m, ok, err := r.next(ctx, w, tick.C)
		if err != nil || !ok {
			return err
		}
		if m == nil {
			if follow && time.Since(last) >= idleEnd && !r.active() {
				w.Close()
				follow = false
			}
			continue
		}
		last = time.Now()
		if err := r.take(m, &skip); err != nil {
			return err
		}
	}
}

// next returns the next message, or none when tick comes first. What was printed
// is written out before waiting.
func (r *reader) next(ctx context.Context, w *logdriver.LogWatcher, tick <-chan time.Time) (*logdriver.Message, bool, error) {
	select {
	case m, ok := <-w.Msg:
		return m, ok, nil
	default:
	}
	if err := r.printer.Flush(); err != nil {
		return nil, false, quietPipe(err)
	}
	select {
	case m, ok := <-w.Msg:
		return m, ok, nil
	case <-tick:
		return nil, true, nil
	case <-ctx.Done():
		return nil, false, context.Cause(ctx)
	}
}

// take prints m and returns it to the pool.
func (r *reader) take(m *logdriver.Message, skip *int) error {
	defer logdriver.PutMessage(m)
	r.hostLog.release()
	if m.Err != nil {
		if err := r.printer.Flush(); err != nil {
			return quietPipe(err)
		}
		r.notices.Printf("log of job %s: %v", r.job.ID, m.Err)
		return nil
	}
	r.position.note(m.Timestamp, *skip > 0)
	if *skip > 0 {
		*skip--
		return nil
	}
	return quietPipe(r.printer.Print(m))
}
