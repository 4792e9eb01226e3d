package host_test

import (
	"errors"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/shared/logdriver"
	"github.com/logplug/logplug/shared/wire"
)

// TestFollowerOfAReplacedDriver: a process that ends in good order closes its loggers,
// and with them what follows them. That is no end of a log whose logger stays open.
func TestFollowerOfAReplacedDriver(t *testing.T) {
	t.Parallel()
	for name, replace := range map[string]func(t *testing.T, h *host.Host, dir string){
		"terminated": func(t *testing.T, h *host.Host, _ string) {
			if err := syscall.Kill(h.Stats().Drivers[0].Pid, syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
		},
		"upgraded": func(t *testing.T, _ *host.Host, dir string) {
			install(t, filepath.Join(plugins, "logplug-driver-jsonfile"), filepath.Join(dir, "logplug-driver-jsonfile"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := ownPlugins(t, "jsonfile")
			h := newHost(t, func(c *host.Config) { c.PluginDirs = []string{dir} })
			info := jsonInfo(t, nil)
			l := open(t, h, "jsonfile", info)
			logLine(t, l, "message 0")
			w := follow(t, l)
			pid := h.Stats().Drivers[0].Pid
			replace(t, h, dir)
			if err := ending(w); !errors.Is(err, wire.ErrUnavailable) {
				t.Errorf("the reading ended with %v", err)
			}
			awaitUpgrade(t, h, pid)
			logLine(t, l, "message 1")
			w = follow(t, l)
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			if err := ending(w); err != nil {
				t.Errorf("the reading of a logger that was closed ended with %v", err)
			}
			checkMessages(t, readMessages(t, h, info), 2)
		})
	}
}

// follow returns a reading that follows l, and has delivered its first message.
func follow(t *testing.T, l host.Logger) *logdriver.LogWatcher {
	t.Helper()
	w := l.(logdriver.LogReader).ReadLogs(testContext(t), logdriver.ReadConfig{Tail: -1, Follow: true})
	if m := <-w.Msg; m == nil || string(m.Line) != "message 0\n" {
		t.Fatalf("read %v", m)
	}
	return w
}

// ending returns what a reading ends with, after the messages that it has left.
func ending(w *logdriver.LogWatcher) (err error) {
	for _, err = range w.All() {
	}
	return err
}
