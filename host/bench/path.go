package main

import (
	"context"
	"errors"
	"os/exec"
	"time"

	"github.com/docker/docker/daemon/logger"
	"github.com/docker/docker/daemon/logger/jsonfilelog"
	dockerlocal "github.com/docker/docker/daemon/logger/local"
	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/host/bench/internal/baregrpc"
	"github.com/logplug/logplug/host/bench/internal/dockerfifo"
	"github.com/logplug/logplug/host/bench/internal/proc"
	"github.com/logplug/logplug/host/bench/internal/rawsocket"
)

// path is one way for lines to where they are kept.
type path struct {
	send  func(line []byte, at time.Time) error
	wait  func(total int) error // until that many have arrived
	pids  []int                 // processes besides this one
	close func(error) error
}

// openOurs opens a path through the named driver.
func openOurs(ctx context.Context, j *job, driver string, cfg host.Config) (*path, error) {
	return openConfigured(ctx, j, driver, cfg, nil)
}

func openConfigured(ctx context.Context, j *job, driver string, cfg host.Config, options map[string]string) (*path, error) {
	r, err := newRig(j, driver, cfg)
	if err != nil {
		return nil, err
	}
	l, err := r.open(ctx, "bench", options)
	if err != nil {
		return nil, r.close(err)
	}
	pid, err := r.pid()
	if err != nil {
		return nil, r.close(err)
	}
	return &path{
		send: func(line []byte, at time.Time) error {
			if len(line) > mediumBytes {
				return sendBorrowed(l, line, at)
			}
			return send(l, line, at)
		},
		wait:  func(int) error { return settled(l) },
		pids:  []int{pid},
		close: r.close,
	}, nil
}

func startFIFO(j *job, args ...string) (*dockerfifo.Host, error) {
	return dockerfifo.Start(j.Scratch, func(socket string) *exec.Cmd {
		return command(rolePlugin, append([]string{socket}, args...)...)
	})
}

func openFIFO(_ context.Context, j *job) (*path, error) {
	h, err := startFIFO(j)
	if err != nil {
		return nil, err
	}
	l, err := h.Open("bench")
	if err != nil {
		return nil, err
	}
	return &path{
		send:  func(line []byte, at time.Time) error { return sendDocker(l, line, at) },
		wait:  h.Wait,
		pids:  []int{h.Pid()},
		close: func(err error) error { l.Close(); h.Close(); return err },
	}, nil
}

func openRaw(_ context.Context, j *job) (*path, error) {
	s, err := rawsocket.Start(j.Scratch, func(socket string) *exec.Cmd { return command(roleReader, socket) })
	if err != nil {
		return nil, err
	}
	return &path{
		send:  func(line []byte, at time.Time) error { return s.Send(at, line) },
		wait:  func(int) error { return s.Wait() },
		pids:  []int{s.Pid()},
		close: func(err error) error { s.Close(); return err },
	}, nil
}

func openBare(ctx context.Context, j *job) (*path, error) {
	p, err := startBare(ctx, j, "")
	if err != nil {
		return nil, err
	}
	return &path{
		send:  func(line []byte, _ time.Time) error { return p.Send(line) },
		wait:  p.Wait,
		pids:  []int{p.Pid()},
		close: func(err error) error { return errors.Join(err, p.Close()) },
	}, nil
}

// openDirect is the prototype of a path beside gRPC.
func openDirect(_ context.Context, j *job) (*path, error) {
	f, err := fanDirect(j, 1, "")
	if err != nil {
		return nil, err
	}
	return &path{
		send: func(line []byte, at time.Time) error { return f.send(0, line, at) },
		wait: f.wait, pids: f.pids, close: f.close,
	}, nil
}

// startBare starts gRPC with nothing else.
func startBare(ctx context.Context, j *job, latencies string) (*baregrpc.Peer, error) {
	return baregrpc.Start(ctx, j.Scratch, func(socket string) *exec.Cmd { return command(roleBareGRPC, socket, latencies) })
}

// openDockerFile opens one of Docker's file drivers inside of this process.
func openDockerFile(create logger.Creator, j *job) (*path, error) {
	l, err := create(dockerInfo(j.Scratch + "/docker.log"))
	if err != nil {
		return nil, err
	}
	return &path{
		send:  func(line []byte, at time.Time) error { return sendDocker(l, line, at) },
		wait:  func(int) error { return nil }, // Log returns when it is written
		close: func(err error) error { l.Close(); return err },
	}, nil
}

func openDockerJSON(_ context.Context, j *job) (*path, error) {
	return openDockerFile(jsonfilelog.New, j)
}
func openDockerLocal(_ context.Context, j *job) (*path, error) {
	return openDockerFile(dockerlocal.New, j)
}

func dockerInfo(file string) logger.Info {
	return logger.Info{ContainerID: "bench", ContainerName: "/bench", LogPath: file, Config: map[string]string{}}
}

// sendDocker logs a line with Docker's Logger.
func sendDocker(l logger.Logger, line []byte, at time.Time) error {
	m := logger.NewMessage()
	m.Line = append(m.Line, line...)
	m.Source = source
	m.Timestamp = at
	return l.Log(m)
}

// transfer measures how n lines travel, after some that are not measured.
func (p *path) transfer(n, size int) (s sample, err error) {
	defer func() { err = p.close(err) }()
	in := newLines(size, time.Microsecond)
	warm := max(n/20, 1)
	if err := p.sendAll(in, warm); err != nil {
		return nil, err
	}
	if err := p.wait(warm); err != nil {
		return nil, err
	}
	meter, err := proc.NewMeter(p.pids...)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := p.sendAll(in, n); err != nil {
		return nil, err
	}
	if err := p.wait(warm + n); err != nil {
		return nil, err
	}
	took := time.Since(began)
	used, err := meter.Used()
	return sample{
		rate:      float64(n) / took.Seconds(),
		cpu:       float64(used.Nanoseconds()) / float64(n),
		bandwidth: float64(n) * float64(size) / 1e6 / took.Seconds(),
	}, err
}

func (p *path) sendAll(in *lines, n int) error {
	for range n {
		line, at := in.next()
		if err := p.send(line, at); err != nil {
			return err
		}
	}
	return nil
}
