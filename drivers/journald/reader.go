package main

import (
	"context"
	"errors"
	"time"

	"github.com/logplug/logplug/drivers/journald/internal/journal"
	"github.com/logplug/logplug/shared/logdriver"
)

const (
	// pollRemote is how often a reader looks for messages that nobody tells
	// it of, and pollLocal the same where the writer is in this process.
	pollRemote = 50 * time.Millisecond
	pollLocal  = time.Second
	// refreshInterval is how often a reader whose consumer does not take a message
	// opens new files, so that it can read them after journald removed them.
	refreshInterval = time.Second
	// slack is how much earlier than the time that a message claims journald may
	// have received it, but for messages that are marked as ahead.
	slack = time.Second
	// lateness is how long after Until a follower waits for messages from before.
	lateness = 100 * time.Millisecond
)

// writer is what a follower knows of who writes its log.
type writer struct {
	alive   func() bool               // false once nothing will follow what is stored
	changed func() <-chan struct{}    // closed when something is stored
	settle  func(ctx context.Context) // waits until what was acknowledged is stored
	poll    time.Duration
	unknown bool // it may be of another user, whose entries this one may not read
}

// ReadLogs implements logdriver.LogReader.
func (l *logger) ReadLogs(ctx context.Context, cfg logdriver.ReadConfig) *logdriver.LogWatcher {
	w := writer{alive: l.alive, changed: l.changed.wait, poll: pollLocal}
	if l.confirm == confirmSent {
		w.poll = pollRemote
		w.settle = func(ctx context.Context) {
			s := socket{path: l.socket}
			defer s.close()
			_ = s.settle(ctx) // a reader gets what there is
		}
	}
	return read(ctx, &l.place, cfg, w)
}

func (l *logger) alive() bool { return !isClosed(l.closed) }

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// remoteLog is a log that has no logger in this process.
type remoteLog struct{ place }

// ReadLogs implements logdriver.LogReader.
func (l remoteLog) ReadLogs(ctx context.Context, cfg logdriver.ReadConfig) *logdriver.LogWatcher {
	never := make(chan struct{})
	return read(ctx, &l.place, cfg, writer{
		alive: l.beingWritten, changed: func() <-chan struct{} { return never }, poll: pollRemote, unknown: true,
	})
}

// reading is one reader of a log.
type reading struct {
	*logdriver.LogWatcher
	place   *place
	cfg     logdriver.ReadConfig
	writer  writer
	entries *journal.Reader
	dec     decoder
	matched bool // a message was not before Since
	// expires tells that Until was in the future when reading began. One in the
	// past says nothing about when such messages arrive.
	expires bool
}

// read starts a reading. Its place in the log is known when read returns.
func read(ctx context.Context, p *place, cfg logdriver.ReadConfig, w writer) *logdriver.LogWatcher {
	r := &reading{LogWatcher: logdriver.NewLogWatcher(), place: p, cfg: cfg, writer: w, matched: cfg.Since.IsZero(), expires: time.Until(cfg.Until) > 0}
	tail, err := r.begin(ctx)
	if err != nil {
		r.Fail(err)
		close(r.Msg)
		return r.LogWatcher
	}
	go func() {
		defer close(r.Msg)
		defer r.entries.Close()
		if err := r.run(ctx, tail); err != nil {
			r.Fail(err)
		}
	}()
	return r.LogWatcher
}

// begin opens the journal and finds where the messages of Tail begin.
func (r *reading) begin(ctx context.Context) (tail journal.Position, err error) {
	if r.writer.settle != nil {
		r.writer.settle(ctx)
	}
	if r.entries, err = r.place.reader(r.place.field, r.place.value); err != nil {
		return nil, err
	}
	if tail, err = r.tail(ctx); err != nil {
		r.entries.Close()
	}
	return tail, err
}

// tail finds where the messages of Tail begin.
func (r *reading) tail(ctx context.Context) (journal.Position, error) {
	err := r.entries.Refresh()
	if err == nil && r.writer.unknown {
		err = r.entries.Denied()
	}
	if err != nil || r.cfg.Tail < 0 {
		return nil, err
	}
	for r.entries.Tail(r.cfg.Tail); r.entries.Unsettled(); r.entries.Tail(r.cfg.Tail) {
		if err := look(ctx, r.WatchClose(), r.entries); err != nil {
			return nil, err
		}
	}
	return r.entries.Position(), nil
}

func (r *reading) run(ctx context.Context, tail journal.Position) error {
	if !r.cfg.Since.IsZero() {
		if err := r.seekSince(ctx, tail); err != nil {
			return err
		}
	}
	r.entries.ForwardOnly()
	if more, err := r.drain(ctx); !more || !r.cfg.Follow {
		return err
	}
	expired := make(chan struct{})
	if r.expires {
		defer time.AfterFunc(time.Until(r.cfg.Until)+lateness, func() { close(expired) }).Stop()
	}
	poll := time.NewTicker(r.writer.poll)
	defer poll.Stop()
	for {
		// What is stored after these two lines makes itself known, or is seen.
		changed := r.writer.changed()
		last := !r.writer.alive() || isClosed(expired)
		if err := r.entries.Refresh(); err != nil {
			return err
		}
		if more, err := r.drain(ctx); !more || last {
			return err
		}
		select {
		case <-changed:
		case <-poll.C:
		case <-expired:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-r.WatchClose():
			return nil
		}
	}
}

// drain delivers what is visible. more is false if nothing is wanted after it.
func (r *reading) drain(ctx context.Context) (more bool, err error) {
	var e journal.Entry
	for {
		ok, err := next(ctx, r.WatchClose(), r.entries, &e)
		switch {
		case !ok:
			return err == nil, endOf(err)
		case errors.Is(err, journal.ErrRemoved):
			return false, errors.Join(logdriver.ErrGap, err)
		}
		var m *logdriver.Message
		if err != nil {
			m = logdriver.NewMessage()
			m.Err = err
		} else {
			m = r.dec.message(&e)
			if deliver, end := r.wants(m); !deliver {
				logdriver.PutMessage(m)
				if end {
					return false, nil
				}
				continue
			}
		}
		if err := r.send(ctx, m); err != nil {
			logdriver.PutMessage(m)
			return false, endOf(err)
		}
	}
}

// wants applies Since and Until.
func (r *reading) wants(m *logdriver.Message) (deliver, end bool) {
	if !r.matched && m.Timestamp.Before(r.cfg.Since) {
		return false, false
	}
	r.matched = true
	if !r.cfg.Until.IsZero() && m.Timestamp.After(r.cfg.Until) {
		return false, true
	}
	return true, false
}

// errGone ends a reading whose consumer is gone.
var errGone = errors.New("the consumer is gone")

func endOf(err error) error {
	if errors.Is(err, errGone) {
		return nil
	}
	return err
}

// send hands m to the consumer.
func (r *reading) send(ctx context.Context, m *logdriver.Message) error {
	select {
	case r.Msg <- m:
		return nil
	default:
	}
	tick := time.NewTicker(refreshInterval)
	defer tick.Stop()
	for {
		select {
		case r.Msg <- m:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-r.WatchClose():
			return errGone
		case <-tick.C:
			if !r.cfg.Follow {
				continue
			}
			if err := r.entries.Refresh(); err != nil {
				return err
			}
		}
	}
}

// seekSince goes to the first message that is not before Since, or to tail if that is
// later.
func (r *reading) seekSince(ctx context.Context, tail journal.Position) error {
	start, err := r.firstSince(ctx)
	if err != nil {
		return endOf(err)
	}
	r.entries.Rewind()
	r.entries.Forward(start)
	r.entries.Forward(tail)
	return nil
}

// firstSince finds the first message that is not before Since, or a place shortly before
// it. journald keeps entries in the order of their arrival, and with a few
// exceptions, messages claim times before that.
func (r *reading) firstSince(ctx context.Context) (journal.Position, error) {
	arrived := max(0, r.cfg.Since.Add(-slack).UnixMicro())
	early := func(e *journal.Entry) bool { return e.Realtime >= uint64(arrived) }
	r.entries.Seek(early)
	ahead, err := r.place.reader(fieldAhead, r.place.value)
	if err != nil {
		return nil, err
	}
	defer ahead.Close()
	if err := ahead.Refresh(); err != nil {
		return nil, err
	}
	var e journal.Entry
	for {
		ok, err := next(ctx, r.WatchClose(), ahead, &e)
		if !ok && err != nil {
			return nil, err
		}
		if !ok || err == nil && early(&e) {
			break
		}
		if err == nil && r.sinceOrLater(&e) {
			r.entries.Seek(func(o *journal.Entry) bool { return !o.Before(&e) })
			break
		}
	}
	return r.skipEarlier(ctx)
}

func (r *reading) sinceOrLater(e *journal.Entry) bool {
	m := r.dec.message(e)
	defer logdriver.PutMessage(m)
	return !m.Timestamp.Before(r.cfg.Since)
}

// skipEarlier goes on to the first match among the visible messages, and remembers
// that there is one: with Tail, it may not be among those that are delivered.
func (r *reading) skipEarlier(ctx context.Context) (journal.Position, error) {
	var e journal.Entry
	for {
		at := r.entries.Position()
		ok, err := next(ctx, r.WatchClose(), r.entries, &e)
		switch {
		case !ok:
			return at, err
		case errors.Is(err, journal.ErrRemoved):
			return nil, errors.Join(logdriver.ErrGap, err)
		case err == nil && r.sinceOrLater(&e):
			r.matched = true
			return at, nil
		}
	}
}
