package host_test

import (
	"strings"
	"testing"

	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/shared/logdriver"
)

// TestNothingWaitsForAcknowledgements: messages of all sizes leave although the driver has
// acknowledged nothing yet, one by one and in bundles, through gRPC and the write socket.
func TestNothingWaitsForAcknowledgements(t *testing.T) {
	dir, _ := hostileDrivers(t)
	for _, driver := range []string{"hostile-ack-late", "hostile-socket-late"} {
		t.Run(driver, func(t *testing.T) {
			h := newHost(t, func(c *host.Config) { c.PluginDirs = []string{dir} })
			l := open(t, h, driver, logdriver.Info{ContainerName: "late"})
			for _, size := range []int{10, 10, 5000, 10, 5000, 200 << 10, 100 << 10, 5000, 300 << 10, 10} {
				logLine(t, l, "%s", strings.Repeat("x", size))
				awaitSent(t, h)
			}
			logLine(t, l, "line 99 is the last")
			if err := l.Flush(testContext(t)); err != nil {
				t.Error(err)
			}
		})
	}
}

// awaitSent waits until nothing is left to send.
func awaitSent(t *testing.T, h *host.Host) {
	t.Helper()
	eventually(t, "all messages leave", func() bool { return host.Unsent(h) == 0 })
}

// withDriversToAsk runs test with drivers that acknowledge nothing before they are asked, through gRPC and the write socket.
func withDriversToAsk(t *testing.T, configure func(*host.SpoolConfig), test func(t *testing.T, h *host.Host, driver string)) {
	dir, _ := hostileDrivers(t)
	for _, driver := range []string{"hostile-ack-asked", "hostile-socket-asked"} {
		t.Run(driver, func(t *testing.T) {
			test(t, newHost(t, func(c *host.Config) {
				c.PluginDirs = []string{dir}
				configure(&c.Spool)
			}), driver)
		})
	}
}

// TestDriversAreAsked: a driver that acknowledges nothing before it is asked is asked whenever
// somebody waits: for room, for everything to be acknowledged, or for the logger's end.
func TestDriversAreAsked(t *testing.T) {
	bound := func(c *host.SpoolConfig) { c.LoggerMessages = 10 }
	withDriversToAsk(t, bound, func(t *testing.T, h *host.Host, driver string) {
		l := open(t, h, driver, logdriver.Info{ContainerName: "asked"})
		for i := range 95 {
			logLine(t, l, "line %d", i)
		}
		awaitSent(t, h)
		if err := l.Flush(testContext(t)); err != nil {
			t.Error(err)
		}
		logLine(t, l, "the last line")
		if err := l.Shutdown(testContext(t)); err != nil {
			t.Error(err)
		}
	})
}

// TestDriversAreAskedForOthers: it is also asked when there is no room for a logger because of what others
// have on their way.
func TestDriversAreAskedForOthers(t *testing.T) {
	bound := func(c *host.SpoolConfig) { c.HostMessages = 10 }
	withDriversToAsk(t, bound, func(t *testing.T, h *host.Host, driver string) {
		one := open(t, h, driver, logdriver.Info{ContainerName: "one"})
		other := open(t, h, driver, logdriver.Info{ContainerName: "other"})
		for i := range 10 {
			logLine(t, one, "line %d", i)
		}
		awaitSent(t, h)
		logLine(t, other, "a line for which others have to leave")
	})
}

// TestDriversAreAskedBeforeMessagesAreDropped: it is also asked when the buffer of a logger that drops
// messages is half full, although nobody waits.
func TestDriversAreAskedBeforeMessagesAreDropped(t *testing.T) {
	withDriversToAsk(t, func(*host.SpoolConfig) {}, func(t *testing.T, h *host.Host, driver string) {
		l := open(t, h, driver, logdriver.Info{
			ContainerName: "asked", Config: map[string]string{"mode": "non-blocking", "max-buffer-size": "8k"},
		})
		for i := range uint64(20) {
			logLine(t, l, "%s", strings.Repeat("x", 5000))
			eventually(t, "the message is acknowledged", func() bool { return l.Stats().Acked.Messages > i })
		}
		if n := l.Stats().Dropped.Messages; n > 0 {
			t.Errorf("%d messages were dropped", n)
		}
	})
}
