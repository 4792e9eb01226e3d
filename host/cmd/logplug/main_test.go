//go:build unix

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes this binary the programs of the tests as well: logplug itself, and
// drivers with all sorts of faults.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"logplug":               main,
		"prog":                  progMain,
		"logplug-driver-box":    boxMain,
		"logplug-driver-future": futureMain,
		"logplug-driver-none":   noneMain,
	})
}

// driver returns the path of one of the drivers of the tests.
func driver(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath("logplug-driver-" + name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// builtDrivers builds the drivers of files, once for all tests, and returns the
// directory that has them.
var builtDrivers = sync.OnceValues(func() (string, error) {
	logplug, err := exec.LookPath("logplug")
	if err != nil {
		return "", err
	}
	// The directory of the test's programs is removed when the tests have run.
	dir := filepath.Dir(logplug)
	for _, name := range []string{"jsonfile", "local"} {
		path := filepath.Join(dir, "logplug-driver-"+name)
		out, err := exec.Command("go", "build", "-o", path, "github.com/logplug/logplug/drivers/"+name).CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("build the %s driver: %w\n%s", name, err, out)
		}
	}
	return dir, nil
})

func jsonfile(t testing.TB) string { return built(t, "jsonfile") }

// local is the default driver, and the one that keeps caches.
func local(t testing.TB) string { return built(t, "local") }

func built(t testing.TB, name string) string {
	t.Helper()
	dir, err := builtDrivers()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "logplug-driver-"+name)
}

// install puts drivers into a directory.
func install(t testing.TB, dir string, drivers ...string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, d := range drivers {
		if err := os.Link(d, filepath.Join(dir, filepath.Base(d))); err != nil {
			t.Fatal(err)
		}
	}
}
