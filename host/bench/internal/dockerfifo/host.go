// Package dockerfifo runs Docker's plugin path: its adapter and its encoder on
// one side, a plugin process with its decoder on the other, and a FIFO a logger
// between them.
package dockerfifo

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/docker/docker/daemon/logger"
	"github.com/docker/docker/pkg/plugingetter"
	"github.com/docker/docker/pkg/plugins"
)

const driverName = "bench"

// Host is the daemon's side, with the plugin's process.
type Host struct {
	dir    string
	client *plugins.Client
	cmd    *exec.Cmd
	stdin  io.Closer // its end ends the plugin
	create logger.Creator
}

// Start starts cmd, which must call Serve with the path that socket returns, and
// connects to it. One Host a process: Docker's registry is global.
func Start(dir string, command func(socket string) *exec.Cmd) (*Host, error) {
	socket := filepath.Join(dir, "plugin.sock")
	h := &Host{dir: dir, cmd: command(socket)}
	h.cmd.Stderr = os.Stderr
	stdin, err := h.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	h.stdin = stdin
	ready, err := h.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := h.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the plugin: %w", err)
	}
	if _, err := ready.Read(make([]byte, 1)); err != nil {
		return nil, errors.Join(fmt.Errorf("waiting for the plugin: %w", err), h.Close())
	}
	if h.client, err = plugins.NewClient("unix://"+socket, nil); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	logger.RegisterPluginGetter(getter{h})
	if h.create, err = logger.GetLogDriver(driverName); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

// Pid returns the plugin's process.
func (h *Host) Pid() int { return h.cmd.Process.Pid }

// Open opens a logger, as the daemon does for a container.
func (h *Host) Open(id string) (logger.Logger, error) {
	return h.create(logger.Info{ContainerID: id, ContainerName: "/" + id})
}

// Wait returns when the plugin has decoded n messages since it was started.
func (h *Host) Wait(n int) error {
	return h.client.Call("Bench.Wait", n, nil)
}

// Latencies returns how long messages were on their way.
func (h *Host) Latencies() (latencies []time.Duration, err error) {
	err = h.client.Call("Bench.Latencies", nil, &latencies)
	return latencies, err
}

// Close ends the plugin.
func (h *Host) Close() error {
	h.stdin.Close()
	return h.cmd.Wait()
}

// getter and plugin stand for the daemon's plugin store.
type getter struct{ host *Host }

func (g getter) Get(string, string, int) (plugingetter.CompatPlugin, error) {
	return plugin{g.host}, nil
}
func (g getter) GetAllByCap(string) ([]plugingetter.CompatPlugin, error)      { return nil, nil }
func (g getter) GetAllManagedPluginsByCap(string) []plugingetter.CompatPlugin { return nil }
func (g getter) Handle(string, func(string, *plugins.Client))                 {}

type plugin struct{ host *Host }

func (p plugin) Name() string                  { return driverName }
func (p plugin) ScopedPath(path string) string { return filepath.Join(p.host.dir, path) }
func (p plugin) IsV1() bool                    { return true }
func (p plugin) Client() *plugins.Client       { return p.host.client }
