package natslog

import (
	"context"
	"errors"

	"github.com/logplug/logplug/sdk/remote"
	"github.com/logplug/logplug/shared/logdriver"
)

// reader is a log that is open for reading only.
type reader struct{ *log }

// ReadLogs implements logdriver.LogReader. Following ends when the log says that
// it was closed, which a writer that was killed does not note.
func (r *reader) ReadLogs(ctx context.Context, cfg logdriver.ReadConfig) *logdriver.LogWatcher {
	w := logdriver.NewLogWatcher()
	start, err := r.place(ctx)
	if err != nil {
		w.Fail(err)
		close(w.Msg)
		return w
	}
	newReading(r.log, cfg, w, start, nil).start(ctx)
	return w
}

// Close lets go of the connection.
func (r *reader) Close() error {
	r.release()
	return nil
}

// looks is how often the stream's leader is asked before it counts as out of reach:
// there may be none for a moment.
const looks = 3

// look asks where the log ends now.
func (l *log) look(ctx context.Context) (m stored, err error) {
	for range looks {
		if m, err = l.lookOnce(ctx); err == nil || errors.Is(err, errNoMessage) || errors.Is(err, errNoStream) {
			return m, err
		}
		if _, absent := l.now(); absent != nil || remote.Sleep(ctx, retryMin) != nil {
			return m, err
		}
	}
	return m, err
}

func (l *log) lookOnce(ctx context.Context) (stored, error) {
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	return l.last(ctx)
}

// place returns the state of the log now.
func (l *log) place(ctx context.Context) (state, error) {
	m, err := l.look(ctx)
	if errors.Is(err, errNoMessage) {
		return state{}, nil
	}
	if err != nil {
		return state{}, err
	}
	return stateOf(m), nil
}

// ReadLogs implements logdriver.LogReader.
func (l *logger) ReadLogs(ctx context.Context, cfg logdriver.ReadConfig) *logdriver.LogWatcher {
	w := logdriver.NewLogWatcher()
	start, err := l.place(ctx)
	if err == nil {
		newReading(l.log, cfg, w, start, l).start(ctx)
		return w
	}
	select {
	case <-l.ready:
		newReading(l.log, cfg, w, l.snapshot(), l).start(ctx)
		return w
	default:
	}
	if !cfg.Follow {
		w.Fail(err)
		close(w.Msg)
		return w
	}
	// No server was ever reached. What is logged from now on comes behind what
	// the log is found to hold.
	r := newReading(l.log, cfg, w, state{}, l)
	r.unknown = true
	r.start(ctx)
	return w
}

var errConsumerGone = errors.New("the consumer has left")
