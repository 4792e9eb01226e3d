package main

import (
	"context"

	"github.com/logplug/logplug/drivers/jsonfile/internal/record"
	"github.com/logplug/logplug/sdk"
	"github.com/logplug/logplug/sdk/logfile"
	"github.com/logplug/logplug/shared/logdriver"
)

const name = "jsonfile"

func driver() sdk.Driver[options] {
	return sdk.Driver[options]{
		Name:       name,
		Version:    "1.0.0",
		Summary:    "local files in the format of Docker's json-file driver",
		Capability: logdriver.Capability{ReadLogs: true},
		Open:       open,
		OpenReader: openReader,
	}
}

func open(_ context.Context, info logdriver.Info, opts *options) (logdriver.Logger, error) {
	cfg, err := config(&info, opts)
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
	cfg, err := config(&info, opts)
	if err != nil {
		return nil, err
	}
	r, err := logfile.OpenReader(cfg)
	if err != nil {
		return nil, err
	}
	return r, nil
}

func config(info *logdriver.Info, opts *options) (logfile.Config, error) {
	if err := opts.checkGiven(info.Config); err != nil {
		return logfile.Config{}, err
	}
	cfg, err := opts.Config(info)
	if err != nil {
		return cfg, err
	}
	attrs, err := opts.Constants(info)
	cfg.Format = record.New(attrs)
	cfg.MaxSize, cfg.MaxFiles, cfg.Compress = int64(opts.MaxSize), opts.MaxFile, opts.Compress
	return cfg, err
}
