package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/host/bench/internal/proc"
	"github.com/logplug/logplug/host/internal/engine"
	"github.com/logplug/logplug/sdk/drivertest/receiver"
)

const (
	pluginJSON  = "logplug-jsonfile"
	pluginLocal = "logplug-local"

	pouredLines = 1_000_000
	pourImage   = "puppet"
	// filePoll is how often a measurement looks whether a container's file is complete.
	filePoll = 5 * time.Millisecond
	// statsPoll is more, because whom it asks is measured.
	statsPoll = 5 * time.Millisecond
	// tailBytes is more than what the last line takes in any format.
	tailBytes = 1024
)

// pouring is one log driver of a container that writes at full speed.
type pouring struct {
	plugin  bool // one of ours
	driver  string
	options []string
	file    string // the log, below the daemon's directory; * is the container
}

// containerScenario has a real dockerd for each measurement. Where none can run, the row
// is left out, with the reason in the table.
func containerScenario() *scenario {
	// Rotation in the middle would be measured, and compression, at another rate each.
	unrotated := []string{"max-size=4g", "max-file=1", "compress=false"}
	return &scenario{
		name: "container", rows: []int{15}, maxRounds: 3,
		contenders: []contender{
			{pluginJSON, (&pouring{true, pluginJSON, nil, "state/logs/*/container.log"}).run},
			{jsonLog, (&pouring{false, "json-file", nil, "data/containers/*/*-json.log"}).run},
			{pluginLocal, (&pouring{true, pluginLocal, unrotated, "state/logs/*/container.log"}).run},
			{local, (&pouring{false, "local", unrotated, "data/containers/*/local-logs/container.log"}).run},
		},
		judge: func(m *measured) []verdict {
			return []verdict{
				m.informally(15, "a container at full speed, jsonfile", rate, pluginJSON, jsonLog),
				m.informally(15, "the same, CPU without the container's", cpu, pluginJSON, jsonLog),
				m.informally(15, "a container at full speed, local", rate, pluginLocal, local),
				m.informally(15, "the same, CPU without the container's", cpu, pluginLocal, local),
			}
		},
	}
}

// run measures with a daemon of its own.
func (p *pouring) run(ctx context.Context, j *job) (s sample, err error) {
	// What a daemon has started does not end with it.
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	dir := filepath.Join(j.Scratch, "d")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	d, err := engine.RunDaemon(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.Stop()) }()
	if p.plugin {
		service, err := p.serve(ctx, d, j)
		if err != nil {
			return nil, err
		}
		// The container goes first: the daemon asks the plugin when it ends.
		defer func() { err = errors.Join(err, d.RemoveAll(), service.Stop()) }()
	}
	puppet, err := engine.Puppet(ctx, j.Scratch)
	if err != nil {
		return nil, err
	}
	if err := d.Load(pourImage, puppet); err != nil {
		return nil, err
	}
	return p.pour(ctx, d, j.count(pouredLines))
}

// serve starts the plugins.
func (p *pouring) serve(ctx context.Context, d *engine.Daemon, j *job) (*receiver.Process, error) {
	cmd := d.Inside(logplugPath(j.Drivers), "docker", "serve", "--state-dir", filepath.Join(d.Dir, "state"),
		"--plugin-dir", j.Drivers, "--docker-root", filepath.Join(d.Dir, "data"))
	return receiver.Start(ctx, receiver.Command{
		Path: cmd.Path, Args: cmd.Args[1:], Dir: d.Dir,
		Ready: func(context.Context) error {
			_, err := os.Stat(d.Path("/run/docker/plugins/" + p.driver + ".sock"))
			return err
		},
	})
}

// pour measures n lines of a container, after some that are not measured.
func (p *pouring) pour(ctx context.Context, d *engine.Daemon, n int) (sample, error) {
	warm := n / 20
	id, err := p.start(d, fmt.Sprintf("pour:%d:%d", lineBytes+1, warm), "begin", fmt.Sprintf("pour:%d:%d", lineBytes+1, n), "wait")
	if err != nil {
		return nil, err
	}
	if err := p.arrived(ctx, d, warm, warm); err != nil {
		return nil, err
	}
	container, err := containerPid(d, id)
	if err != nil {
		return nil, err
	}
	pids, err := p.processes(ctx, d)
	if err != nil {
		return nil, err
	}
	meter, err := proc.NewMeterOf(pids...)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := syscall.Kill(container, syscall.SIGUSR1); err != nil {
		return nil, fmt.Errorf("telling the container to begin: %w", err)
	}
	if err := p.arrived(ctx, d, n, warm+n); err != nil {
		return nil, err
	}
	took := time.Since(began)
	used, err := meter.Used()
	if err != nil {
		return nil, err
	}
	return sample{
		rate: float64(n) / took.Seconds(),
		cpu:  float64(used.Nanoseconds()) / float64(n),
	}, readable(ctx, d, id, warm+n)
}

func (p *pouring) start(d *engine.Daemon, acts ...string) (id string, err error) {
	args := []string{"run", "--detach", "--network=none", "--log-driver", p.driver}
	for _, o := range p.options {
		args = append(args, "--log-opt", o)
	}
	return output(d.Docker(append(append(args, pourImage), acts...)...))
}

// output returns what a command prints.
func output(cmd *exec.Cmd) (string, error) {
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, stderr.String())
	}
	return strings.TrimSpace(string(out)), nil
}

func containerPid(d *engine.Daemon, id string) (int, error) {
	text, err := output(d.Docker("inspect", "--format", "{{.State.Pid}}", id))
	if err != nil {
		return 0, err
	}
	pid, err := strconv.Atoi(text)
	if err == nil && pid <= 0 {
		err = errors.New("the container does not run")
	}
	return pid, err
}

// processes returns all that have a part in logging: those that have the daemon's
// directory among their arguments, and the driver's. The container is not among them.
func (p *pouring) processes(ctx context.Context, d *engine.Daemon) ([]int, error) {
	pids, err := proc.Find(d.Dir + "/")
	if err != nil {
		return nil, err
	}
	want := 3 // dockerd, containerd, and the container's shim
	if p.plugin {
		want = 5 // and the plugin, and its driver
		st, err := serviceStats(ctx, d)
		if err != nil {
			return nil, err
		}
		for _, driver := range st.Host.Drivers {
			if driver.Pid != 0 {
				pids = append(pids, driver.Pid)
			}
		}
	}
	if len(pids) != want {
		return nil, fmt.Errorf("found %d processes that log, expected %d: %v", len(pids), want, pids)
	}
	return pids, nil
}

// arrived waits until the file has the last of lines that are numbered to n, and, where the
// driver is one of ours, until all lines so far are acknowledged.
func (p *pouring) arrived(ctx context.Context, d *engine.Daemon, n, total int) error {
	ctx, cancel := context.WithTimeout(ctx, stuck)
	defer cancel()
	if err := inFile(ctx, filepath.Join(d.Dir, p.file), fmt.Appendf(nil, "%010d ", n)); err != nil || !p.plugin {
		return err
	}
	return until(ctx, statsPoll, func() (bool, error) {
		st, err := serviceStats(ctx, d)
		var acked, lost uint64
		for _, driver := range st.Host.Drivers {
			for _, l := range driver.Loggers {
				acked += l.Acked.Messages
				lost += l.Failed.Messages + l.Dropped.Messages
			}
		}
		if lost > 0 {
			err = fmt.Errorf("%d messages were lost", lost)
		}
		return acked >= uint64(total), err
	})
}

// until waits until done tells so.
func until(ctx context.Context, pause time.Duration, done func() (bool, error)) error {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("waiting for a container's lines: %w", ctx.Err())
		}
	}
}

// inFile waits until a text is at the end of the file that a pattern matches.
func inFile(ctx context.Context, pattern string, text []byte) error {
	var names []string
	if err := until(ctx, filePoll, func() (_ bool, err error) {
		names, err = filepath.Glob(pattern)
		return len(names) > 0, err
	}); err != nil {
		return err
	}
	f, err := os.Open(names[0])
	if err != nil {
		return err
	}
	defer f.Close()
	tail := make([]byte, tailBytes)
	return until(ctx, filePoll, func() (bool, error) {
		st, err := f.Stat()
		if err != nil {
			return false, err
		}
		n, err := f.ReadAt(tail, max(st.Size()-tailBytes, 0))
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return bytes.Contains(tail[:n], text), err
	})
}

// statistics is what a measurement needs of the service's.
type statistics struct {
	Host host.Stats `json:"host"`
}

func serviceStats(ctx context.Context, d *engine.Daemon) (st statistics, err error) {
	c := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", d.Path("/run/docker/plugins/logplug.sock"))
		},
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://plugin/stats", nil)
	if err != nil {
		return st, err
	}
	resp, err := c.Do(req)
	if err != nil {
		return st, err
	}
	defer resp.Body.Close()
	return st, json.NewDecoder(resp.Body).Decode(&st)
}

// readable checks that docker logs has all lines of a container.
func readable(ctx context.Context, d *engine.Daemon, id string, want int) error {
	cmd := d.Docker("logs", id)
	var lines lineCounter
	cmd.Stdout = &lines
	if err := cmd.Start(); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	defer stop()
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("docker logs: %w", err)
	}
	if int(lines) != want {
		return fmt.Errorf("docker logs has %d lines of %d", lines, want)
	}
	return nil
}

// lineCounter counts the lines that are written to it.
type lineCounter int

func (c *lineCounter) Write(p []byte) (int, error) {
	*c += lineCounter(bytes.Count(p, []byte{'\n'}))
	return len(p), nil
}
