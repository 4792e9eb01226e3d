package main

import (
	"testing"
	"time"

	"github.com/logplug/logplug/sdk/drivertest"
	"github.com/logplug/logplug/sdk/drivertest/receiver"
)

func TestMain(m *testing.M) { drivertest.Main(m, drivertest.Of(driver())) }

// TestConformance checks the driver as a process, with a real journald. Its
// option sets are those that differ in what is read how.
func TestConformance(t *testing.T) {
	j := receiver.StartJournald(t, receiver.JournaldConfig{})
	drivertest.Run(t, drivertest.Self(t, name), drivertest.Options{
		Wait: time.Minute, Timeout: 5 * time.Minute, // on a busy machine
		Config: map[string]string{"socket": j.Socket, "directory": j.Directory},
		Sets: []drivertest.OptionSet{
			{Name: "sent", Config: map[string]string{"confirm": "sent"}},
			{Name: "synced", Config: map[string]string{"confirm": "synced"}},
		},
	})
}
