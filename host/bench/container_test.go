package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/logplug/logplug/sdk/drivertest/receiver"
)

// Each contender of the container row gets a thousand lines through a real dockerd.
func TestContainerRow(t *testing.T) {
	receiver.NeedRoot(t)
	receiver.Need(t, "dockerd")
	drivers := filepath.Join(t.TempDir(), "drivers")
	for path, pkg := range map[string]string{
		logplugPath(drivers):                              "host/cmd/logplug",
		filepath.Join(drivers, "logplug-driver-jsonfile"): "drivers/jsonfile",
		filepath.Join(drivers, "logplug-driver-local"):    "drivers/local",
	} {
		cmd := exec.Command("go", "build", "-o", path, "github.com/logplug/logplug/"+pkg)
		cmd.Dir = "../.." // of the module that has them
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("build %s: %v\n%s", pkg, err, out)
		}
	}
	for _, c := range containerScenario().contenders {
		t.Run(c.name, func(t *testing.T) {
			// Short, for the names of sockets.
			scratch, err := os.MkdirTemp("", "bench")
			if err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(scratch)
			got, err := c.run(context.Background(), &job{Scratch: scratch, Drivers: drivers, Scale: 1.0 / pouredLines})
			if err != nil {
				t.Fatal(err)
			}
			for _, metric := range []string{rate, cpu} {
				if got[metric] <= 0 {
					t.Errorf("%s is %v", metric, got[metric])
				}
			}
		})
	}
}
