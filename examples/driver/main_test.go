package main

import (
	"path/filepath"
	"testing"

	"github.com/logplug/logplug/sdk/drivertest"
)

func TestMain(m *testing.M) { drivertest.Main(m, drivertest.Of(driver)) }

func TestConformance(t *testing.T) {
	drivertest.Run(t, drivertest.Self(t, "textfile"), drivertest.Options{
		Config: map[string]string{"path": filepath.Join("%{dir}", "%{id}.txt")},
	})
}
