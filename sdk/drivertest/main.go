package drivertest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/logplug/logplug/sdk"
	"github.com/logplug/logplug/shared/wire"
)

// Program is a driver that a test binary can stand in for.
type Program struct {
	// Name is the driver's name.
	Name string
	// Main is the driver's main function; it returns the exit code.
	Main func() int
}

// Of makes a Program of a driver.
func Of[O any](d sdk.Driver[O]) Program {
	return Program{Name: d.Name, Main: func() int { return sdk.Main(d) }}
}

// Main is for TestMain. Executed under the name of one of the programs, which
// Self arranges, the test binary is that driver; otherwise it runs the tests.
// Main does not return.
func Main(m *testing.M, programs ...Program) {
	base := strings.TrimSuffix(filepath.Base(os.Args[0]), ".exe")
	// A driver's module may be called as its binary is: then so is its test.
	if name, ok := strings.CutPrefix(base, wire.DriverPrefix); ok && !strings.HasSuffix(name, ".test") {
		for _, p := range programs {
			if p.Name == name {
				os.Exit(p.Main())
			}
		}
		fmt.Fprintf(os.Stderr, "drivertest.Main was not given a driver %q\n", name)
		os.Exit(2)
	}
	os.Exit(m.Run())
}

// Self returns the path of the running test binary under the name of a driver,
// alone in a directory that a host accepts. TestMain must call Main with that
// driver. It is removed at the end of the test.
func Self(t testing.TB, name string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path, err := stage(t.TempDir(), name, self)
	if err != nil {
		t.Fatalf("make a driver %s of the test binary: %v", name, err)
	}
	return path
}
