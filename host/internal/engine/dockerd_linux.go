package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/logplug/logplug/sdk/drivertest/receiver"
)

// Dockerd is a Daemon for a test, which fails where a call fails.
type Dockerd struct {
	*Daemon
	t testing.TB
}

// StartDockerd starts a daemon that ends with the test, with all its containers. The test
// is skipped, or fails with CI=true, where that is not possible.
func StartDockerd(t testing.TB) *Dockerd {
	t.Helper()
	receiver.NeedRoot(t)
	for _, program := range daemonPrograms {
		receiver.Need(t, program)
	}
	daemon, err := RunDaemon(t.Context(), shortDir(t))
	if err != nil {
		t.Fatal(err)
	}
	d := &Dockerd{daemon, t}
	t.Cleanup(d.stop)
	return d
}

// shortDir is a directory whose path leaves room for names of sockets.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "engine")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("something still uses the engine's directory: %v", err)
		}
	})
	return dir
}

// On returns d for a subtest.
func (d *Dockerd) On(t testing.TB) *Dockerd { return &Dockerd{d.Daemon, t} }

// RemoveAll removes all containers.
func (d *Dockerd) RemoveAll() {
	if err := d.Daemon.RemoveAll(); err != nil {
		d.t.Error(err)
	}
}

func (d *Dockerd) stop() {
	if err := d.Stop(); err != nil {
		d.t.Error(err)
	}
	if d.t.Failed() {
		d.t.Logf("dockerd printed: %s", d.process.Output())
	}
}

// Run is Docker that has to succeed. It returns what was printed on stdout.
func (d *Dockerd) Run(args ...string) string {
	d.t.Helper()
	out, err := d.Docker(args...).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		d.t.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, exit.Stderr)
	}
	if err != nil {
		d.t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// Import makes an image of one static program, which its containers run.
func (d *Dockerd) Import(image, program string) {
	d.t.Helper()
	if err := d.Load(image, program); err != nil {
		d.t.Fatal(err)
	}
}

// Puppet builds the program puppet, statically, into dir.
func Puppet(ctx context.Context, dir string) (path string, err error) {
	path = filepath.Join(dir, "puppet")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", path, "-ldflags=-s -w",
		"github.com/logplug/logplug/host/internal/engine/puppet")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=") // the race detector needs cgo
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build puppet: %w\n%s", err, out)
	}
	return path, nil
}
