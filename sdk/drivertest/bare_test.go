package drivertest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/sdk/drivertest"
)

// TestWithoutSDK checks a driver that was written from PROTOCOL.md alone: it keeps
// every rule, and none is skipped.
func TestWithoutSDK(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "logplug-driver-bare")
	if out, err := exec.Command("go", "build", "-o", binary, "../testdrivers/bare").CombinedOutput(); err != nil {
		t.Fatalf("build the driver: %v\n%s", err, out)
	}
	drivertest.Run(t, binary, drivertest.Options{
		Config: account, Wait: busyWait, Timeout: busyTimeout,
		Report: func(r drivertest.Result) {
			if r.Status == drivertest.Skip && r.Rule.Needs&drivertest.NeedSocket == 0 {
				t.Errorf("%s", r.String())
			}
		},
	})
}

// TestProtocolNamesReserved keeps PROTOCOL.md complete: the names that no driver may
// use are the host's to add to.
func TestProtocolNamesReserved(t *testing.T) {
	text, err := os.ReadFile("../../shared/proto/logplug/v1/PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range slices.Concat(host.LoggerOptions(), host.CacheOptions()) {
		if !strings.Contains(string(text), "`"+o.Name+"`") {
			t.Errorf("PROTOCOL.md does not say that the option name %s is the hosts' own", o.Name)
		}
	}
}
