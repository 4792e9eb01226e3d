package natslog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/logplug/logplug/sdk"
	"github.com/logplug/logplug/shared/logdriver"
)

const name = "nats"

// openWait bounds how long Open waits for a server that is there or may be: the logger
// can do without one until messages come.
const openWait = 3 * time.Second

// Driver returns the driver. Loggers of one Driver share connections.
func Driver() sdk.Driver[Options] {
	s := &service{links: newPool(), openWait: openWait}
	return sdk.Driver[Options]{
		Name:       name,
		Version:    "1.0.0",
		Summary:    "a stream of NATS JetStream, readable from every host",
		Capability: logdriver.Capability{ReadLogs: true},
		Needs:      logdriver.Needs{Network: true},
		Open:       s.open,
		OpenReader: s.openReader,
	}
}

type service struct {
	links    *pool
	openWait time.Duration
}

func (s *service) open(ctx context.Context, info logdriver.Info, opts *Options) (logdriver.Logger, error) {
	log, err := s.log(&info, opts)
	if err != nil {
		return nil, err
	}
	attrs, err := opts.AppendTag(opts.Extra(&info), &info)
	if err != nil {
		log.release()
		return nil, err
	}
	l := newLogger(log, info.Stream, attrs)
	ctx, cancel := context.WithTimeout(ctx, min(s.openWait, opts.Timeout))
	defer cancel()
	if err = l.attempt(ctx); err == nil {
		err = l.begin(ctx)
	}
	var refused *logdriver.OptionError
	if errors.As(err, &refused) {
		log.release()
		return nil, err
	}
	if err != nil {
		slog.Warn("the log cannot be written yet", "subject", log.subject, "stream", log.stream.name, "error", err)
	}
	return l, nil
}

func (s *service) openReader(ctx context.Context, info logdriver.Info, opts *Options) (logdriver.LogReader, error) {
	log, err := s.log(&info, opts)
	if err != nil {
		return nil, err
	}
	_, err = log.look(ctx)
	switch {
	case errors.Is(err, errNoMessage):
		err = fmt.Errorf("%w: the stream %q has no message on subject %q", logdriver.ErrNoLog, log.stream.name, log.subject)
	case errors.Is(err, errNoStream):
		err = fmt.Errorf("%w: %w", logdriver.ErrNoLog, err)
	}
	if err != nil {
		log.release()
		return nil, err
	}
	return &reader{log}, nil
}

// log returns what the options and the source of the log name, with a connection
// that the caller releases.
func (s *service) log(info *logdriver.Info, opts *Options) (*log, error) {
	subject, err := opts.subject(info)
	if err != nil {
		return nil, err
	}
	config, err := opts.link()
	if err != nil {
		return nil, err
	}
	return &log{
		link:    s.links.acquire(config),
		stream:  opts.stream(info.Config),
		subject: subject,
		timeout: opts.Timeout,
	}, nil
}
