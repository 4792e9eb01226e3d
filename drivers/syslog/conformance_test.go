package main

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/logplug/logplug/sdk/drivertest"
)

func TestMain(m *testing.M) {
	resendAge = time.Hour
	drivertest.Main(m, drivertest.Of(driver()))
}

// TestConformance checks the driver as a process. The receiver takes everything.
func TestConformance(t *testing.T) {
	drivertest.Run(t, drivertest.Self(t, name), drivertest.Options{
		Config: map[string]string{"syslog-address": "tcp://" + sink(t), "syslog-format": "rfc5424"},
		Wait:   time.Minute, Timeout: 5 * time.Minute, // on a busy machine
	})
}

// sink returns the address of a server that reads and forgets.
func sink(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var tasks sync.WaitGroup
	t.Cleanup(func() { ln.Close(); tasks.Wait() })
	tasks.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			tasks.Go(func() {
				_, _ = io.Copy(io.Discard, conn)
				conn.Close()
			})
		}
	})
	return ln.Addr().String()
}
