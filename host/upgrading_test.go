package host_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/logplug/logplug/host"
)

// TestUpgrade replaces the driver's binary by rename while messages flow: they
// go to a new process, none lost, none twice, in order.
func TestUpgrade(t *testing.T) {
	dir := ownPlugins(t, "sink")
	driver := filepath.Join(dir, "logplug-driver-sink")
	h := newHost(t, func(c *host.Config) { c.PluginDirs = []string{dir} })
	const loggers, upgrades = 5, 3
	var files []string
	var open5 []host.Logger
	for range loggers {
		info, file := sinkInfo(t, nil)
		files = append(files, file)
		open5 = append(open5, open(t, h, "sink", info))
	}
	n := 0
	for range upgrades {
		pid := h.Stats().Drivers[0].Pid
		install(t, filepath.Join(plugins, "logplug-driver-sink"), driver)
		eventually(t, "the new process", func() bool {
			for _, l := range open5 {
				logLine(t, l, "message %d", n)
			}
			n++
			now := h.Stats().Drivers[0].Pid
			return now != pid && now != 0
		})
	}
	for i, l := range open5 {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		checkSink(t, files[i], n, false)
	}
}

// TestBadUpgradeIsRefused: what cannot be started, or is another driver, does
// not replace the process that works.
func TestBadUpgradeIsRefused(t *testing.T) {
	discard, err := os.ReadFile(filepath.Join(plugins, "logplug-driver-discard"))
	if err != nil {
		t.Fatal(err)
	}
	for name, program := range map[string][]byte{"broken": brokenProgram, "another driver": discard} {
		t.Run(name, func(t *testing.T) {
			dir := ownPlugins(t, "sink")
			h := newHost(t, func(c *host.Config) { c.PluginDirs = []string{dir} })
			info, file := sinkInfo(t, nil)
			l := open(t, h, "sink", info)
			logLine(t, l, "message 0")
			pid := h.Stats().Drivers[0].Pid
			installBytes(t, program, filepath.Join(dir, "logplug-driver-sink"))
			eventually(t, "the refusal", func() bool { return strings.Contains(h.Stats().Drivers[0].LastError, "refused") })
			logLine(t, l, "message 1")
			if err := l.Flush(testContext(t)); err != nil {
				t.Fatal(err)
			}
			checkSink(t, file, 2, false)
			if now := h.Stats().Drivers[0].Pid; now != pid {
				t.Errorf("process %d was replaced by %d", pid, now)
			}
		})
	}
}

// TestUpgradeOnRequest: nobody watches the directory.
func TestUpgradeOnRequest(t *testing.T) {
	dir := ownPlugins(t, "sink")
	h := newHost(t, func(c *host.Config) {
		c.PluginDirs = []string{dir}
		c.NoWatch = true
	})
	info, file := sinkInfo(t, nil)
	l := open(t, h, "sink", info)
	logLine(t, l, "message 0")
	pid := h.Stats().Drivers[0].Pid
	h.Reload() // the same binary: nothing to do
	install(t, filepath.Join(plugins, "logplug-driver-sink"), filepath.Join(dir, "logplug-driver-sink"))
	h.Reload()
	awaitUpgrade(t, h, pid)
	if restarts := h.Stats().Drivers[0].Restarts; restarts != 1 {
		t.Errorf("%d restarts", restarts)
	}
	logLine(t, l, "message 1")
	if err := l.Shutdown(testContext(t)); err != nil {
		t.Fatal(err)
	}
	checkSink(t, file, 2, false)
}

func awaitUpgrade(t *testing.T, h *host.Host, pid int) {
	t.Helper()
	eventually(t, "the new process", func() bool {
		now := h.Stats().Drivers[0].Pid
		return now != pid && now != 0
	})
}

// TestUpgradeDuringAStart: what is installed while a process starts is used when it
// has started.
func TestUpgradeDuringAStart(t *testing.T) {
	dir := ownPlugins(t, "sink")
	driver, control := filepath.Join(dir, "logplug-driver-sink"), t.TempDir()
	started, goOn := filepath.Join(control, "started"), filepath.Join(control, "go")
	installBytes(t, fmt.Appendf(nil, "#!/bin/sh\n: >%s\nwhile [ ! -e %s ]; do sleep 0.02; done\nexec %s\n",
		started, goOn, filepath.Join(plugins, "logplug-driver-sink")), driver)
	h := newHost(t, func(c *host.Config) {
		c.PluginDirs = []string{dir}
		c.NoWatch = true
		c.Timeouts.Start = time.Minute
	})
	info, file := sinkInfo(t, nil)
	opened := make(chan host.Logger)
	go func() { opened <- open(t, h, "sink", info) }()
	eventually(t, "the start of the old binary", func() bool { return exists(started) })
	install(t, filepath.Join(plugins, "logplug-driver-sink"), driver)
	h.Reload()
	if err := os.WriteFile(goOn, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l := <-opened
	eventually(t, "the new process", func() bool { return h.Stats().Drivers[0].Restarts == 1 })
	logLine(t, l, "message 0")
	if err := l.Shutdown(testContext(t)); err != nil {
		t.Fatal(err)
	}
	checkSink(t, file, 1, false)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// TestUntrustedUpgradeIsRefused: a new binary has to be one that discovery would use,
// also when the process that runs has ended.
func TestUntrustedUpgradeIsRefused(t *testing.T) {
	sink := filepath.Join(plugins, "logplug-driver-sink")
	for name, c := range map[string]struct {
		put  func(t *testing.T, driver string)
		want string
	}{
		"writable": {func(t *testing.T, driver string) {
			install(t, sink, driver+"-new")
			if err := errors.Join(os.Chmod(driver+"-new", 0o777), os.Rename(driver+"-new", driver)); err != nil {
				t.Fatal(err)
			}
		}, "everybody can write to it"},
		"link": {func(t *testing.T, driver string) {
			if err := errors.Join(os.Symlink(sink, driver+"-new"), os.Rename(driver+"-new", driver)); err != nil {
				t.Fatal(err)
			}
		}, "a link that leaves the directory"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := ownPlugins(t, "sink")
			driver := filepath.Join(dir, "logplug-driver-sink")
			h := newHost(t, func(c *host.Config) { c.PluginDirs = []string{dir} })
			info, file := sinkInfo(t, nil)
			l := open(t, h, "sink", info)
			pid := h.Stats().Drivers[0].Pid
			c.put(t, driver)
			refused := func() bool { return strings.Contains(h.Stats().Drivers[0].LastError, c.want) }
			eventually(t, "the refusal", refused)
			logLine(t, l, "message 0")
			if err := l.Flush(testContext(t)); err != nil {
				t.Fatal(err)
			}
			if now := h.Stats().Drivers[0].Pid; now != pid {
				t.Errorf("process %d was replaced by %d", pid, now)
			}
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			logLine(t, l, "message 1")
			eventually(t, "the refusal to start it", func() bool { return h.Stats().Drivers[0].Pid == 0 && refused() })
			install(t, sink, driver)
			if err := l.Shutdown(testContext(t)); err != nil {
				t.Fatal(err)
			}
			checkSink(t, file, 2, true)
		})
	}
}

// TestRefusedBinaryIsMended by a change of its mode alone.
func TestRefusedBinaryIsMended(t *testing.T) {
	dir := ownPlugins(t, "sink")
	driver := filepath.Join(dir, "logplug-driver-sink")
	h := newHost(t, func(c *host.Config) { c.PluginDirs = []string{dir} })
	info, file := sinkInfo(t, nil)
	l := open(t, h, "sink", info)
	pid := h.Stats().Drivers[0].Pid
	install(t, filepath.Join(plugins, "logplug-driver-sink"), driver+"-new")
	if err := errors.Join(os.Chmod(driver+"-new", 0o777), os.Rename(driver+"-new", driver)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the refusal", func() bool { return strings.Contains(h.Stats().Drivers[0].LastError, "refused") })
	if err := os.Chmod(driver, 0o755); err != nil {
		t.Fatal(err)
	}
	awaitUpgrade(t, h, pid)
	logLine(t, l, "message 0")
	if err := l.Shutdown(testContext(t)); err != nil {
		t.Fatal(err)
	}
	checkSink(t, file, 1, false)
}
