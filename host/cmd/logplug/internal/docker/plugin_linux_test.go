package docker_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/logplug/logplug/host/internal/engine"
	"github.com/logplug/logplug/sdk/drivertest/receiver"
)

// The managed plugin is one that Docker takes, uses, and removes without a trace.
func TestManagedPlugin(t *testing.T) {
	t.Parallel()
	d := engine.StartDockerd(t)
	dir := filepath.Join(t.TempDir(), "plugin")
	root, err := filepath.Abs("../../../../..")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(receiver.Need(t, "make"), "-C", root, "docker-plugin", "PLUGIN="+dir, "DRIVERS=jsonfile local").CombinedOutput()
	if err != nil {
		t.Fatalf("make docker-plugin: %v\n%s", err, out)
	}
	d.Import(image, filepath.Join(programs(t).dir, "puppet"))
	d.Run("plugin", "create", "logplug", dir)
	d.Run("plugin", "enable", "logplug")
	for _, driver := range []string{"jsonfile", "local"} {
		name := "with-" + driver
		d.Run("run", "--network=none", "--name", name, "--log-driver", "logplug", "--log-opt", "driver="+driver, image, "out:hello", "long:20000")
		if got := d.Run("logs", name); got != "hello\n"+strings.TrimSuffix(long(20000), "\n") {
			t.Errorf("%s: docker logs prints %d bytes: %.50q", driver, len(got), got)
		}
		d.Run("rm", name)
	}
	d.Run("plugin", "disable", "logplug")
	d.Run("plugin", "rm", "logplug")
	for _, path := range []string{"data/plugins/storage/*/*", "data/plugins/[0-9a-f]*"} {
		for _, left := range glob(t, filepath.Join(d.Dir, path)) {
			if strings.Contains(left, "/storage/blobs") || strings.Contains(left, "/storage/ingest") {
				continue // Docker's own, and empty
			}
			t.Errorf("left behind: %s", left)
		}
	}
	if left := glob(t, d.Path("/run/docker/plugins/*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// The unit is one that the service manager understands.
func TestUnit(t *testing.T) {
	t.Parallel()
	analyze := receiver.Need(t, "systemd-analyze")
	text, err := os.ReadFile("../../packaging/systemd/logplug-docker.service")
	if err != nil {
		t.Fatal(err)
	}
	// The program need not be installed here.
	unit := filepath.Join(t.TempDir(), "logplug-docker.service")
	if err := os.WriteFile(unit, []byte(strings.ReplaceAll(string(text), "/usr/bin/logplug", "/bin/true")), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(analyze, "verify", "--man=no", unit).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}
