package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestEmbed builds the drivers and the example and looks at what it prints.
func TestEmbed(t *testing.T) {
	dir := t.TempDir()
	plugins := filepath.Join(dir, "drivers")
	if err := os.Mkdir(plugins, 0o755); err != nil {
		t.Fatal(err)
	}
	build(t, "../../drivers/jsonfile", filepath.Join(plugins, "logplug-driver-jsonfile"))
	build(t, "../driver", filepath.Join(plugins, "logplug-driver-textfile"))
	build(t, ".", filepath.Join(dir, "embed"))

	out, err := exec.Command(filepath.Join(dir, "embed"), "-plugin-dir", plugins).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"stdout: to stdout\n", "stderr: to stderr\n", `"msg":"starting"`, `"msg":"the command has ended"`} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

func build(t *testing.T, dir, output string) {
	t.Helper()
	cmd := exec.Command("go", "build", "-o", output, ".")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build in %s: %v\n%s", dir, err, out)
	}
}
