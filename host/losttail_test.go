package host_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/shared/logdriver"
)

// TestSpoolThatIsOlderThanTheLog: a loss of power has taken messages from the spool that
// the driver has in its file. What is logged next is stored, and all once.
func TestSpoolThatIsOlderThanTheLog(t *testing.T) {
	dir := t.TempDir()
	before, after := filepath.Join(dir, "before"), filepath.Join(dir, "after")
	config := func(spool string) func(*host.Config) {
		return func(c *host.Config) {
			c.Spool.Dir, c.Spool.HostBytes, c.Timeouts.Health = spool, 4<<20, time.Minute
		}
	}
	info := logdriver.Info{ContainerName: "c", LogPath: filepath.Join(dir, "log")}
	first := newHost(t, config(before))
	l := open(t, first, "jsonfile", info)
	stream, _ := l.(host.Positioner).Position()
	pid := freezeDriver(t, first)
	for n := range 5 {
		logLine(t, l, "message %d", n)
	}
	if err := os.CopyFS(after, os.DirFS(before)); err != nil { // what is on the disk
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		logLine(t, l, "message %d", 5+n)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}

	second := newHost(t, config(after))
	l = open(t, second, "jsonfile", info)
	// What was left may have been settled and closed already: then a stream begins.
	if goesOn, last := l.(host.Positioner).Position(); goesOn == stream && last != 8 {
		t.Errorf("the logger goes on behind %d, want 8", last)
	}
	for n := range 5 {
		logLine(t, l, "message %d", 8+n)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	checkMessages(t, readMessages(t, second, info), 13)
	if n := second.Stats().Drivers[0].Restarts; n != 0 {
		t.Errorf("the driver was started again %d times", n)
	}
}
