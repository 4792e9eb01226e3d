package host_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/logplug/logplug/host"
)

// ownPlugins returns a plugin directory with copies of the named drivers.
func ownPlugins(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		install(t, filepath.Join(plugins, "logplug-driver-"+name), filepath.Join(dir, "logplug-driver-"+name))
	}
	return dir
}

// install puts a copy of a program into place by rename, as package managers do.
func install(t *testing.T, from, to string) {
	t.Helper()
	program, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	installBytes(t, program, to)
}

func installBytes(t *testing.T, program []byte, to string) {
	t.Helper()
	tmp := filepath.Join(filepath.Dir(to), ".new")
	if err := os.WriteFile(tmp, program, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(tmp, to); err != nil {
		t.Fatal(err)
	}
}

var brokenProgram = []byte("#!/bin/sh\necho this is broken >&2\nexit 3\n")

// TestPoisonIsFound: one message among many ends the driver's process whenever
// it arrives. It is set aside with its text; all others arrive.
func TestPoisonIsFound(t *testing.T) {
	letters := filepath.Join(t.TempDir(), "letters.jsonl")
	h := newHost(t, func(c *host.Config) { c.DeadLetters = letters })
	info, file := sinkInfo(t, map[string]string{"crash-on": "poison", "token": "hunter2secret"})
	l := open(t, h, "sink", info)
	otherInfo, otherFile := sinkInfo(t, nil)
	otherInfo.ContainerName = "other"
	other := open(t, h, "sink", otherInfo)
	const n = 300
	for i := range n {
		logLine(t, l, "message %d", i)
		logLine(t, other, "message %d", i)
		if i == 123 {
			logLine(t, l, "poison")
		}
	}
	if err := l.Flush(testContext(t)); err != nil {
		t.Fatal(err)
	}
	if err := other.Flush(testContext(t)); err != nil {
		t.Fatal(err)
	}
	checkSink(t, file, n, true)
	checkSink(t, otherFile, n, true)
	if st := l.Stats(); st.Failed.Messages != 1 || st.Acked.Messages != n {
		t.Fatalf("stats: %+v", st)
	}
	if st := other.Stats(); st.Failed.Messages != 0 {
		t.Fatalf("stats of the innocent logger: %+v", st)
	}
	checkLetters(t, letters, "poison")
}

// TestPanickingMessageIsRejected: the driver's process lives on; only the
// message on which its code panics is set aside.
func TestPanickingMessageIsRejected(t *testing.T) {
	letters := filepath.Join(t.TempDir(), "letters.jsonl")
	h := newHost(t, func(c *host.Config) { c.DeadLetters = letters })
	info, file := sinkInfo(t, map[string]string{"panic-on": "poison"})
	l := open(t, h, "sink", info)
	const n = 300
	for i := range n {
		logLine(t, l, "message %d", i)
		if i == 123 {
			logLine(t, l, "poison")
		}
	}
	if err := l.Flush(testContext(t)); err != nil {
		t.Fatal(err)
	}
	checkSink(t, file, n, true)
	if h.Stats().Drivers[0].Restarts != 0 {
		t.Error("the process was replaced")
	}
	checkLetters(t, letters, "poison")
}

// TestHangingSinkIsNoPoison: processes that the host replaces, because they make no
// progress, tell nothing about a message.
func TestHangingSinkIsNoPoison(t *testing.T) {
	h := newHost(t, func(c *host.Config) {
		c.Timeouts.Health = 50 * time.Millisecond
		c.Timeouts.Progress = 200 * time.Millisecond
		c.Timeouts.Quarantine = 10 * time.Millisecond
	})
	hang := filepath.Join(t.TempDir(), "hang")
	if err := os.WriteFile(hang, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	info, file := sinkInfo(t, map[string]string{"hang-file": hang})
	l := open(t, h, "sink", info)
	logLine(t, l, "message 0")
	// More than it takes to find a message guilty on which processes are killed.
	eventually(t, "restarts", func() bool { return h.Stats().Drivers[0].Restarts > 10 })
	if err := os.Remove(hang); err != nil {
		t.Fatal(err)
	}
	if err := l.Flush(testContext(t)); err != nil {
		t.Fatal(err)
	}
	if st := l.Stats(); st.Failed.Messages != 0 || st.Acked.Messages != 1 {
		t.Errorf("stats: %+v", st)
	}
	checkSink(t, file, 1, true)
}

func checkLetters(t *testing.T, path string, want ...string) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(raw), "hunter2secret") {
		t.Error("the dead letters hold a secret option")
	}
	var got []string
	for d, err := range host.ReadDeadLetters(path) {
		if err != nil {
			t.Fatal(err)
		}
		if d.Driver != "sink" || d.Reason == "" || d.Seq == 0 || d.Source != "stdout" || d.Timestamp.IsZero() || d.Info.ContainerName != "c" {
			t.Errorf("dead letter %+v", d)
		}
		got = append(got, string(d.Message().Line))
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("dead letters %q, want %q", got, want)
	}
}

// TestQuarantine: a driver whose processes end again and again is left alone
// for a while, which can be seen; it comes back when it is mended.
func TestQuarantine(t *testing.T) {
	dir := ownPlugins(t, "sink")
	driver := filepath.Join(dir, "logplug-driver-sink")
	h := newHost(t, func(c *host.Config) {
		c.PluginDirs = []string{dir}
		c.NoWatch = true
		c.Timeouts.Quarantine = 300 * time.Millisecond
	})
	info, file := sinkInfo(t, nil)
	l := open(t, h, "sink", info)
	installBytes(t, brokenProgram, driver)
	killDriver(t, h)
	for i := range 10 {
		logLine(t, l, "message %d", i) // there is room: no error
	}
	eventually(t, "quarantine", func() bool { return h.Stats().Drivers[0].State == host.StateQuarantined })
	if st := h.Stats().Drivers[0]; !strings.Contains(st.LastError, "this is broken") {
		t.Errorf("the reason is not visible: %+v", st)
	}
	install(t, filepath.Join(plugins, "logplug-driver-sink"), driver)
	if err := l.Flush(testContext(t)); err != nil {
		t.Fatal(err)
	}
	checkSink(t, file, 10, false)
}

// TestQuarantineWithoutLoggers: a driver that nobody can open a logger in is left
// alone too, until there is another binary.
func TestQuarantineWithoutLoggers(t *testing.T) {
	dir := ownPlugins(t, "sink")
	driver := filepath.Join(dir, "logplug-driver-sink")
	installBytes(t, brokenProgram, driver)
	h := newHost(t, func(c *host.Config) {
		c.PluginDirs = []string{dir}
		c.Timeouts.Quarantine = time.Hour
	})
	info, file := sinkInfo(t, nil)
	eventually(t, "quarantine", func() bool {
		_, err := h.Open(testContext(t), "sink", info)
		if err == nil || !strings.Contains(err.Error(), "this is broken") {
			t.Fatalf("opening a logger in a broken driver: %v", err)
		}
		return strings.Contains(err.Error(), "in quarantine")
	})
	if st := h.Stats().Drivers[0]; st.State != host.StateQuarantined || !strings.Contains(st.LastError, "this is broken") {
		t.Errorf("stats: %+v", st)
	}
	install(t, filepath.Join(plugins, "logplug-driver-sink"), driver)
	var l host.Logger
	eventually(t, "the end of the quarantine", func() bool {
		var err error
		l, err = h.Open(testContext(t), "sink", info)
		return err == nil
	})
	logLine(t, l, "message 0")
	if err := l.Shutdown(testContext(t)); err != nil {
		t.Fatal(err)
	}
	checkSink(t, file, 1, false)
}

// TestDriverThatDoesNotStart is not said to be starting when nobody waits for it any
// more.
func TestDriverThatDoesNotStart(t *testing.T) {
	dir := ownPlugins(t, "sink")
	installBytes(t, brokenProgram, filepath.Join(dir, "logplug-driver-sink"))
	h := newHost(t, func(c *host.Config) { c.PluginDirs = []string{dir} })
	if list := h.Drivers(testContext(t)); len(list) != 1 || list[0].Err == nil {
		t.Fatalf("drivers: %+v", list)
	}
	eventually(t, "the state", func() bool { return h.Stats().Drivers[0].State == host.StateIdle })
	if st := h.Stats().Drivers[0]; !strings.Contains(st.LastError, "this is broken") {
		t.Errorf("stats: %+v", st)
	}
}
