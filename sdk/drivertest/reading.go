package drivertest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/logplug/logplug/shared/logdriver"
)

// reading is a watcher with bounded waits.
type reading struct {
	watcher *logdriver.LogWatcher
	wait    time.Duration
	seen    int
}

func (e *env) reading(w *logdriver.LogWatcher) *reading {
	return &reading{watcher: w, wait: e.opts.Wait}
}

// next returns the next message; ok is false at the end.
func (r *reading) next(ctx context.Context) (rec record, ok bool, err error) {
	// Ready messages cost no timer.
	select {
	case m, ok := <-r.watcher.Msg:
		return r.received(m, ok)
	default:
	}
	late := time.NewTimer(r.wait)
	defer late.Stop()
	select {
	case m, ok := <-r.watcher.Msg:
		return r.received(m, ok)
	case <-late.C:
		return record{}, false, fmt.Errorf("after %d messages neither another one nor the end within %v", r.seen, r.wait)
	case <-ctx.Done():
		return record{}, false, fmt.Errorf("after %d messages: %w", r.seen, context.Cause(ctx))
	}
}

func (r *reading) received(m *logdriver.Message, ok bool) (record, bool, error) {
	if !ok {
		return record{}, false, nil
	}
	r.seen++
	return recordOf(m), true, nil
}

// take returns the next n messages.
func (r *reading) take(ctx context.Context, n int) (records []record, err error) {
	for len(records) < n {
		rec, ok, err := r.next(ctx)
		if err != nil {
			return records, err
		}
		if !ok {
			return records, fmt.Errorf("the reading ended after %d messages, want %d more: %w", r.seen, n-len(records), orNoError(r.err()))
		}
		records = append(records, rec)
	}
	return records, nil
}

// rest returns all messages up to the end, which must be one without an error.
func (r *reading) rest(ctx context.Context) (records []record, err error) {
	for {
		rec, ok, err := r.next(ctx)
		if err != nil {
			return records, err
		}
		if !ok {
			if err := r.err(); err != nil {
				return records, fmt.Errorf("after %d messages the reading ended with an error: %w", r.seen, err)
			}
			return records, nil
		}
		records = append(records, rec)
	}
}

// ends waits for the end, with or without an error, and returns that error.
func (r *reading) ends(ctx context.Context) (reason, err error) {
	for {
		_, ok, err := r.next(ctx)
		if err != nil {
			return nil, err
		}
		if !ok {
			return r.err(), nil
		}
	}
}

// err returns what the producer reported.
func (r *reading) err() error {
	select {
	case err := <-r.watcher.Err:
		return err
	default:
		return nil
	}
}

var errNone = errors.New("no reason was given")

func orNoError(err error) error {
	if err == nil {
		return errNone
	}
	return err
}

// readAll reads a selection to its end.
func (e *env) readAll(ctx context.Context, from source, cfg logdriver.ReadConfig) ([]record, error) {
	w := from(ctx, cfg)
	defer w.Close()
	return e.reading(w).rest(ctx)
}

// expect reads a selection and compares it to what was logged.
func (e *env) expect(ctx context.Context, from source, cfg logdriver.ReadConfig, want []record) error {
	got, err := e.readAll(ctx, from, cfg)
	if err == nil {
		err = sameLines(got, want)
	}
	if err != nil {
		return fmt.Errorf("reading with %s: %w", describeConfig(cfg), err)
	}
	return nil
}

// describeConfig shows cfg with the times that matter.
func describeConfig(cfg logdriver.ReadConfig) string {
	s := fmt.Sprintf("tail %d", cfg.Tail)
	if !cfg.Since.IsZero() {
		s += ", since " + cfg.Since.Format(logdriver.TimeFormat)
	}
	if !cfg.Until.IsZero() {
		s += ", until " + cfg.Until.Format(logdriver.TimeFormat)
	}
	if cfg.Follow {
		s += ", follow"
	}
	return s
}
