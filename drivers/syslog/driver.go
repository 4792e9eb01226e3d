package main

import (
	"context"
	"fmt"
	"os"
	"sync"

	"github.com/logplug/logplug/drivers/syslog/internal/frame"
	"github.com/logplug/logplug/sdk"
	"github.com/logplug/logplug/sdk/remote"
	"github.com/logplug/logplug/shared/logdriver"
)

const name = "syslog"

func driver() sdk.Driver[options] {
	buffers := &sync.Pool{New: func() any { return new(buffer) }}
	return sdk.Driver[options]{
		Name:    name,
		Version: "1.0.0",
		Summary: "a syslog server (RFC 5424, RFC 3164) over TCP, TLS, UDP or a unix socket",
		Needs:   logdriver.Needs{Network: true},
		Open: func(_ context.Context, info logdriver.Info, opts *options) (logdriver.Logger, error) {
			l, err := newLogger(&info, opts, buffers)
			if err != nil {
				return nil, err
			}
			return sdk.Assemble(l, 0), nil
		},
	}
}

// resendAge is longer in tests: on a busy machine a receiver takes its time to start again.
var resendAge = remote.DefaultResendAge

// newLogger returns a logger of whole lines. It takes a *buffer of buffers while
// it needs one.
func newLogger(info *logdriver.Info, opts *options, buffers *sync.Pool) (*logger, error) {
	tag, err := opts.Tag.Render(info)
	if err != nil {
		return nil, err
	}
	if len(tag) > frame.MaxTag {
		return nil, &logdriver.OptionError{Option: "tag", Reason: fmt.Sprintf("results in %d bytes; a tag has at most %d", len(tag), frame.MaxTag)}
	}
	cfg := remote.Config{Addresses: opts.addresses, ResendBytes: int(opts.Resend), ResendAge: resendAge, Probation: opts.probation}
	if opts.addresses[0].TLS {
		// The name to verify is that of the address, unless the options name one.
		if cfg.TLS, err = opts.TLS.Config(tlsPrefix, opts.addresses[0].Host); err != nil {
			return nil, err
		}
	}
	host, err := info.Hostname()
	if err != nil {
		host = "localhost"
	}
	format := frame.New(frame.Config{
		Style:    opts.style(),
		Framing:  opts.framing(),
		Facility: opts.facility,
		Hostname: host,
		Tag:      tag,
		PID:      os.Getpid(),
		SDID:     opts.SDID,
		Attrs:    opts.Attributes.Extra(info),
		MaxBytes: int(opts.MaxSize),
	})
	return &logger{format: format, sender: remote.NewSender(cfg), buffers: buffers}, nil
}
