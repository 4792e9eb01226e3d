package host

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/logplug/logplug/shared/logdriver"
	pb "github.com/logplug/logplug/shared/proto/logplug/v1"
	"github.com/logplug/logplug/shared/wire"
)

// readLogs reads the log that info describes, where its logger is open if it has one:
// between two processes of the driver, nobody has the log open, and it looks as if
// nobody wrote it.
func (d *driver) readLogs(ctx context.Context, info *logdriver.Info, cfg logdriver.ReadConfig) *logdriver.LogWatcher {
	wait, cancel := context.WithTimeout(ctx, d.host.cfg.Timeouts.Call)
	defer cancel()
	w, err := d.readOpen(ctx, wait, info, cfg)
	switch {
	case w != nil:
		return w
	// What cannot be opened in time is read as it is, but cannot be followed.
	case err == nil, errors.Is(err, logdriver.ErrClosed), errors.Is(err, errNotOpen) && !cfg.Follow && ctx.Err() == nil:
		return d.readStored(ctx, info, cfg)
	}
	return failedWatcher(fmt.Errorf("reading the log of %s: %w", labelOf(info), err))
}

// errNotOpen is that of a logger that is not open in time.
var errNotOpen = errors.New("its logger is not open")

// readOpen reads the log by its logger. It returns nil for both if it has none.
func (d *driver) readOpen(ctx, wait context.Context, info *logdriver.Info, cfg logdriver.ReadConfig) (*logdriver.LogWatcher, error) {
	for _, l := range d.writersOf(info) {
		if err := l.awaitStored(ctx, wait); err != nil {
			return nil, err
		}
	}
	writers := d.writersOf(info) // those that an earlier host left are closed by now
	if len(writers) == 0 {
		return nil, nil
	}
	l := writers[max(0, slices.IndexFunc(writers, (*logger).open))]
	at, err := l.waitSession(wait, place{})
	if errors.Is(err, wire.ErrUnavailable) {
		err = fmt.Errorf("%w: %w", errNotOpen, err)
	}
	if err != nil {
		return nil, err
	}
	return l.read(ctx, wait, at, cfg)
}

// writersOf returns the loggers that write the log that info describes, and are not
// known to be unable to read it: besides one that somebody opened, those that an
// earlier host left.
func (d *driver) writersOf(info *logdriver.Info) []*logger {
	return slices.DeleteFunc(d.snapshot(), func(l *logger) bool { return !l.writes(info) })
}

// writes goes by what drivers go by, see package sdk.
func (l *logger) writes(info *logdriver.Info) bool {
	// Without an ID, drivers tell logs apart by name.
	same := l.info.ContainerID == info.ContainerID && (info.ContainerID != "" || l.info.Name() == info.Name())
	if !same || l.info.LogPath != info.LogPath || !maps.Equal(l.info.Config, info.Config) {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.gone && (l.capability.ReadLogs || !l.configured)
}

// open tells whether l is open in a process.
func (l *logger) open() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.session != nil
}

// readStored reads a log that no logger needs to be open for.
func (d *driver) readStored(ctx context.Context, info *logdriver.Info, cfg logdriver.ReadConfig) *logdriver.LogWatcher {
	s, err := d.acquire(ctx)
	if err != nil {
		return failedWatcher(err)
	}
	w, err := s.newReading(ctx, labelOf(info), cfg).begin(&pb.ReadLogsRequest{
		Log: &pb.ReadLogsRequest_Info{Info: wire.InfoToProto(info)}, Config: wire.ReadConfigToProto(cfg),
	})
	if err != nil {
		return failedWatcher(err)
	}
	return w
}
