package main

import (
	"context"

	"github.com/logplug/logplug/sdk"
	"github.com/logplug/logplug/sdk/logfile"
	"github.com/logplug/logplug/shared/logdriver"
)

const name = "local"

func driver() sdk.Driver[options] {
	return sdk.Driver[options]{
		Name:       name,
		Version:    "1.0.0",
		Summary:    "compact, bounded local files",
		Capability: logdriver.Capability{ReadLogs: true},
		Open:       open,
		OpenReader: openReader,
	}
}

func open(_ context.Context, info logdriver.Info, opts *options) (logdriver.Logger, error) {
	cfg, err := opts.config(&info)
	if err != nil {
		return nil, err
	}
	l, err := logfile.OpenLogger(name, cfg)
	if err != nil {
		return nil, err
	}
	return l, nil
}

func openReader(_ context.Context, info logdriver.Info, opts *options) (logdriver.LogReader, error) {
	cfg, err := opts.config(&info)
	if err != nil {
		return nil, err
	}
	r, err := logfile.OpenReader(cfg)
	if err != nil {
		return nil, err
	}
	return r, nil
}
