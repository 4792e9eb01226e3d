package engine

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/logplug/logplug/sdk/drivertest/receiver"
)

// Containerd is a containerd with its own root, state and address. It has no
// images: containers run the program payload.
type Containerd struct {
	// Dir has its data and its socket.
	Dir string

	t       testing.TB
	ctr     string
	rootfs  string
	process *receiver.Process
}

// containerdConfig leaves out what tests do not need and some systems lack.
const containerdConfig = `version = 2
root = %q
state = %q
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
	"io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]
[grpc]
address = %q
`

// StartContainerd starts a containerd that ends with the test, with all its containers.
// The test is skipped, or fails with CI=true, where that is not possible. payload is the
// program that Payload has built.
func StartContainerd(t testing.TB, payload string) *Containerd {
	t.Helper()
	receiver.NeedRoot(t)
	daemon, ctr := receiver.Need(t, "containerd"), receiver.Need(t, "ctr")
	receiver.Need(t, "runc")
	c := &Containerd{Dir: shortDir(t), t: t, ctr: ctr}
	c.rootfs = filepath.Join(c.Dir, "rootfs")
	config := filepath.Join(c.Dir, "config.toml")
	text := fmt.Sprintf(containerdConfig, filepath.Join(c.Dir, "root"), filepath.Join(c.Dir, "state"), c.address())
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(c.rootfs, 0o755); err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(payload)
	if err == nil {
		err = os.WriteFile(filepath.Join(c.rootfs, "payload"), program, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	c.process, err = receiver.Start(t.Context(), receiver.Command{
		Path: daemon, Args: []string{"--config", config, "--log-level", "error"}, Dir: c.Dir,
		Ready: func(ctx context.Context) error { return c.call(ctx, "version").Run() },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.stop)
	return c
}

func (c *Containerd) address() string { return filepath.Join(c.Dir, "c.sock") }

// stop removes what is left of containers, and ends containerd.
func (c *Containerd) stop() {
	out, _ := c.Ctr("namespaces", "list", "-q").Output()
	for _, ns := range strings.Fields(string(out)) {
		c.removeAll(ns)
	}
	if err := c.process.Stop(); err != nil {
		c.t.Error(err)
	}
	if c.t.Failed() {
		c.t.Logf("containerd printed: %s", withoutInfo(c.process.Output()))
	}
}

func (c *Containerd) removeAll(ns string) {
	tasks, _ := c.Ctr("-n", ns, "tasks", "list", "-q").Output()
	for _, id := range strings.Fields(string(tasks)) {
		_ = c.Ctr("-n", ns, "tasks", "rm", "-f", id).Run() // it may have ended meanwhile
	}
	containers, _ := c.Ctr("-n", ns, "containers", "list", "-q").Output()
	for _, id := range strings.Fields(string(containers)) {
		_ = c.Ctr("-n", ns, "containers", "rm", id).Run()
	}
}

// Ctr returns a call of containerd's client, which is killed if it takes minutes.
func (c *Containerd) Ctr(args ...string) *exec.Cmd { return c.call(context.Background(), args...) }

func (c *Containerd) call(ctx context.Context, args ...string) *exec.Cmd {
	return bounded(ctx, c.ctr, append([]string{"--address", c.address()}, args...)...)
}

// Run runs a container with a log URI until it has ended.
func (c *Containerd) Run(uri, id string, payload ...string) error {
	return c.run(c.Ctr(c.arguments([]string{"run", "--rm"}, uri, id, payload)...))
}

// Start starts a container with a log URI. Its task and it are to be removed by Remove.
func (c *Containerd) Start(uri, id string, payload ...string) error {
	return c.run(c.Ctr(c.arguments([]string{"run", "--detach"}, uri, id, payload)...))
}

func (c *Containerd) run(cmd *exec.Cmd) error {
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args[3:], " "), err, out)
	}
	return nil
}

func (c *Containerd) arguments(args []string, uri, id string, payload []string) []string {
	args = append(args, "--log-uri", uri, "--rootfs", c.rootfs, id, "/payload")
	return append(args, payload...)
}

// Remove ends a container that Start has started, and removes it.
func (c *Containerd) Remove(id string) error {
	if err := c.run(c.Ctr("tasks", "rm", "--force", id)); err != nil {
		return err
	}
	return c.run(c.Ctr("containers", "rm", id))
}

// Payload builds the program payload, statically, into dir.
func Payload(ctx context.Context, dir string) (path string, err error) {
	path = filepath.Join(dir, "payload")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", path, "-ldflags=-s -w",
		"github.com/logplug/logplug/host/internal/engine/payload")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=") // static, also where the rest is built with -race
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build payload: %w\n%s", err, out)
	}
	return path, nil
}

// withoutInfo leaves out lines of shims, which ignore the level of containerd.
func withoutInfo(output string) string {
	var kept strings.Builder
	for line := range strings.Lines(output) {
		if !strings.Contains(line, "level=info") {
			kept.WriteString(line)
		}
	}
	return kept.String()
}
