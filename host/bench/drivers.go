package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/sdk/drivertest/receiver"
)

const (
	ourLocal  = "logplug, local"
	ourSyslog = "logplug, syslog"

	ourNATS     = "logplug, nats"
	ourJournald = "logplug, journald"

	syslogMessages   = 200_000
	natsMessages     = 200_000
	journaldMessages = 50_000
)

// driversScenario has drivers with what receives from them: the real programs. One
// that is not installed is left out, with the reason in the table.
func driversScenario() *scenario {
	return &scenario{
		name: "drivers", rows: []int{14}, maxRounds: 3,
		contenders: []contender{
			transferring(ourLocal, through("local"), fileMessages, lineBytes),
			transferring(local, openDockerLocal, peerMessages, lineBytes),
			transferring(ourSyslog, openSyslog, syslogMessages, lineBytes),
			transferring(ourNATS, openNATS, natsMessages, lineBytes),
			transferring(ourJournald, openJournald, journaldMessages, lineBytes),
		},
		judge: func(m *measured) []verdict {
			return []verdict{
				m.informally(14, "local until written", rate, ourLocal, local),
				m.informally(14, "the same, CPU", cpu, ourLocal, local),
				m.alone(14, "syslog over TCP to rsyslogd, until acknowledged", rate, ourSyslog),
				m.alone(14, "the same, CPU without rsyslogd's", cpu, ourSyslog),
				m.alone(14, "nats to a nats-server with files, until acknowledged", rate, ourNATS),
				m.alone(14, "the same, CPU without nats-server's", cpu, ourNATS),
				m.alone(14, "journald until seen in the journal", rate, ourJournald),
				m.alone(14, "the same, CPU without journald's", cpu, ourJournald),
			}
		},
	}
}

// alone reports a metric that nothing is compared with.
func (m *measured) alone(row int, what, metric, contender string) verdict {
	v := verdict{row: row, what: what, info: true, target: "–"}
	a, ok := m.median(contender, metric)
	if !ok {
		v.failed = m.failure(contender)
		return v
	}
	v.ours, v.peer = format(a, metric), "–"
	return v
}

// openSyslog opens a path to an rsyslogd of its own.
func openSyslog(ctx context.Context, j *job) (*path, error) {
	program, err := receiver.Find("rsyslogd")
	if err != nil {
		return nil, err
	}
	dir, secrets := filepath.Join(j.Scratch, "r"), filepath.Join(j.Scratch, "c")
	if err := errors.Join(os.Mkdir(dir, 0o700), os.Mkdir(secrets, 0o700)); err != nil {
		return nil, err
	}
	certs, err := receiver.NewCertificates(secrets)
	if err != nil {
		return nil, err
	}
	daemon, err := receiver.StartRsyslog(ctx, program, dir, certs)
	if err != nil {
		return nil, err
	}
	p, err := openConfigured(ctx, j, "syslog", host.Config{}, map[string]string{
		"syslog-address": daemon.Address("tcp", true), "syslog-format": "rfc5424micro",
	})
	if err != nil {
		return nil, errors.Join(err, daemon.Stop())
	}
	closePath := p.close
	p.close = func(err error) error { return errors.Join(closePath(err), daemon.Stop()) }
	return p, nil
}

// openJournald opens a path to a journald of its own, without a limit to the rate: an
// acknowledged message was seen in the journal.
func openJournald(ctx context.Context, j *job) (*path, error) {
	dir := filepath.Join(j.Scratch, "j")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	daemon, err := receiver.RunJournald(ctx, dir, receiver.JournaldConfig{
		Settings: []string{"RateLimitIntervalSec=0", "SystemMaxUse=2G"},
	})
	if err != nil {
		return nil, err
	}
	p, err := openConfigured(ctx, j, "journald", host.Config{}, map[string]string{
		"socket": daemon.Socket, "directory": daemon.Directory,
	})
	if err != nil {
		daemon.Kill()
		return nil, err
	}
	closePath := p.close
	p.close = func(err error) error {
		defer daemon.Kill()
		return closePath(err)
	}
	return p, nil
}
