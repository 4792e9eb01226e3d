package main

import (
	"context"

	"github.com/logplug/logplug/sdk"
	"github.com/logplug/logplug/shared/logdriver"
)

const name = "journald"

func driver() sdk.Driver[options] {
	return sdk.Driver[options]{
		Name:       name,
		Version:    "1.0.0",
		Summary:    "systemd's journal, with the fields of Docker's journald driver",
		Capability: logdriver.Capability{ReadLogs: true},
		Open:       open,
		OpenReader: openReader,
	}
}

func open(ctx context.Context, info logdriver.Info, opts *options) (logdriver.Logger, error) {
	where, err := opts.place(&info)
	if err != nil {
		return nil, err
	}
	enc, err := newEncoder(&info, opts, where)
	if err != nil {
		return nil, err
	}
	l := newLogger(where, enc, opts.Confirm)
	if err := l.begin(ctx, info.Stream != ""); err != nil {
		l.release()
		return nil, err
	}
	return l, nil
}

func openReader(_ context.Context, info logdriver.Info, opts *options) (logdriver.LogReader, error) {
	where, err := opts.place(&info)
	if err != nil {
		return nil, err
	}
	return remoteLog{where}, nil
}
