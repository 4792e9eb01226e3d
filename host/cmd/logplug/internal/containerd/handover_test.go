//go:build linux

package containerd_test

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
)

var relayProgram = []string{"logplug-containerd"}

// awaitAlone waits until a container's logger works alone.
func (c *container) awaitAlone() {
	c.t.Helper()
	poll(c.t, "logging alone", func() bool {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", c.cmd.Process.Pid))
		return strings.Contains(string(text), "\x00--alone\x00")
	})
}

// awaitConnected waits until somebody is connected to the server's socket.
func (b *bench) awaitConnected() {
	b.t.Helper()
	poll(b.t, "a connection to the server", func() bool {
		text, _ := os.ReadFile("/proc/net/unix")
		for line := range strings.Lines(string(text)) {
			const connected = "03"
			if f := strings.Fields(line); len(f) == 8 && f[5] == connected && strings.HasPrefix(f[7], b.sock) {
				return true
			}
		}
		return false
	})
}

// TestServeStoppedWhileOpening: a container that starts while serve is being stopped is logged
// alone.
func TestServeStoppedWhileOpening(t *testing.T) {
	long(t)
	t.Parallel()
	b := newBench(t)
	first := b.alone("twice", "driver=jsonfile")
	s := b.serve()
	second := b.start("twice", relayProgram, nil, nil, "driver=jsonfile") // waits for the first
	b.awaitConnected()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	second.awaitAlone()
	for i, c := range []*container{first, second} {
		if i > 0 {
			c.awaitReady()
		}
		if _, err := fmt.Fprintf(c.out, "run %d\n", i); err != nil {
			t.Fatal(err)
		}
		if err := c.end(); err != nil {
			t.Error(err)
		}
	}
	b.deliver("twice")
	out, _ := b.logs("twice")
	compare(t, "the log", out, "run 0\nrun 1\n")
}
