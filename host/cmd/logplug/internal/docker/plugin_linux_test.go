package docker_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/logplug/logplug/host/internal/engine"
	"github.com/logplug/logplug/sdk/drivertest/receiver"
)

// The managed plugin is one that Docker takes, uses, and removes without a trace.
func TestManagedPlugin(t *testing.T) {
	t.Parallel()
	bin := programs(t)
	dir := filepath.Join(t.TempDir(), "plugin")
	root, err := filepath.Abs("../../../../..")
	if err != nil {
		t.Fatal(err)
	}
	out, err := combined(receiver.Need(t, "make"), "-C", root, "docker-plugin", "PLUGIN="+dir, "DRIVERS=jsonfile local")
	if err != nil {
		t.Fatalf("make docker-plugin: %v\n%s", err, out)
	}
	d := engine.StartDockerd(t)
	d.Import(image, filepath.Join(bin.dir, "puppet"))
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

func glob(t testing.TB, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// The units are such as the service manager understands, and the documents say how to remove
// what they make it keep.
func TestUnits(t *testing.T) {
	t.Parallel()
	analyze := receiver.Need(t, "systemd-analyze")
	for name, document := range map[string]string{"logplug-docker.service": "DOCKER.md", "logplug-serve.service": "CONTAINERD.md"} {
		text, err := os.ReadFile("../../packaging/systemd/" + name)
		if err != nil {
			t.Fatal(err)
		}
		// The program need not be installed here.
		unit := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(unit, []byte(strings.ReplaceAll(string(text), "/usr/bin/logplug", "/bin/true")), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := combined(analyze, "verify", "--man=no", unit); err != nil || len(out) > 0 {
			t.Errorf("%s: systemd-analyze verify: %v\n%s", name, err, out)
		}
		help, err := os.ReadFile("../../" + document)
		if err != nil {
			t.Fatal(err)
		}
		_, removal, _ := strings.Cut(string(help), "To remove it:")
		removal, _, _ = strings.Cut(removal, "\n\n")
		for _, path := range kept(string(text)) {
			if !strings.Contains(removal, "`"+path+"`") {
				t.Errorf("%s does not say that %s is to be removed", document, path)
			}
		}
	}
}

// kept returns what is there because of a unit when it was removed. Directories are made
// with all those above them.
func kept(unit string) (paths []string) {
	for line := range strings.Lines(unit) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		top, _, _ := strings.Cut(value, "/")
		switch {
		case name == "StateDirectory":
			paths = append(paths, "/var/lib/"+top)
		case name == "RuntimeDirectory" && top != "docker": // Docker's own
			paths = append(paths, "/run/"+top)
		case name == "ExecStart":
			if _, state, found := strings.Cut(value, "--state-dir %h"); found {
				paths = append(paths, "/root"+state)
			}
		}
	}
	return paths
}
