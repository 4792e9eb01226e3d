package main

import (
	"testing"
	"time"

	"github.com/logplug/logplug/sdk/drivertest"
)

func TestMain(m *testing.M) { drivertest.Main(m, drivertest.Of(driver())) }

// TestConformance checks the driver as a process. Its option sets start a new
// file with each message, or now and then.
func TestConformance(t *testing.T) {
	drivertest.Run(t, drivertest.Self(t, name), drivertest.Options{
		Wait: time.Minute, Timeout: 5 * time.Minute, // thousands of files, on a busy machine
		Sets: []drivertest.OptionSet{
			{Name: "rotate-each", Config: map[string]string{"max-size": "1", "max-file": "2000", "compress": "false"}},
			{Name: "rotate", Config: map[string]string{"max-size": "1k", "max-file": "2000", "compress": "false"}},
			{Name: "compress-each", Config: map[string]string{"max-size": "1", "max-file": "2000"}},
			{Name: "compress", Config: map[string]string{"max-size": "2k", "max-file": "2000"}},
			{Name: "sync", Config: map[string]string{"sync": "batch", "max-age": "1h"}},
		},
	})
}
