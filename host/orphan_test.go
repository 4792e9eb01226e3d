package host_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/host/internal/spool"
	"github.com/logplug/logplug/shared/logdriver"
	"github.com/logplug/logplug/shared/wire"
)

// TestOrphansThatEndAtOnce: where all that was left is damaged, loggers are finished
// while others are still taken up.
func TestOrphansThatEndAtOnce(t *testing.T) {
	const loggers = 300
	dir := t.TempDir()
	leaveOneEach(t, dir, "discard", loggers, "to be damaged")
	path := filepath.Join(dir, "messages")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, bytes.ReplaceAll(data, []byte("damaged"), []byte("DAMAGED")), 0o600); err != nil {
		t.Fatal(err)
	}
	h := newHost(t, func(c *host.Config) { c.Spool.Dir = dir })
	eventually(t, "all to be finished", func() bool { return len(h.Stats().Drivers[0].Loggers) == 0 })
	if n := h.Stats().Drivers[0].Totals.DroppedBy[host.DropDamaged].Messages; n != loggers {
		t.Errorf("%d messages are counted as damaged, want %d", n, loggers)
	}
}

// leaveOneEach leaves a message of each of a driver's loggers in a spool directory.
func leaveOneEach(t *testing.T, dir, driver string, loggers int, text string) {
	t.Helper()
	d, _, err := spool.Open(dir, 16<<20)
	if err != nil {
		t.Fatal(err)
	}
	for i := range loggers {
		stream := spool.Stream{}
		binary.BigEndian.PutUint32(stream[:], uint32(i+1))
		info := logdriver.Info{ContainerName: fmt.Sprint("c", i), Stream: stream.String()}
		if err := d.Remember(stream, spool.Record{Driver: driver, Info: info}, false); err != nil {
			t.Fatal(err)
		}
		m := message("%s", text)
		if _, _, err := spool.New(d, stream).Append(m, wire.Measure(m)); err != nil {
			t.Fatal(err)
		}
		logdriver.PutMessage(m)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestKeptMessages: what a host cannot deliver is counted, and stays.
func TestKeptMessages(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	leaveOneEach(t, dir, "nowhere", 2, "for a driver that is not there")
	for range 2 {
		h, err := host.New(hostConfig(t, func(c *host.Config) { c.Spool.Dir = dir }))
		if err != nil {
			t.Fatal(err)
		}
		if n := h.Stats().KeptMessages; n != 2 {
			t.Errorf("%d messages are kept, want 2", n)
		}
		if err := h.Close(testContext(t)); err != nil {
			t.Fatal(err)
		}
		spoilRecords(t, dir)
	}
}

// spoilRecords makes it unknown whose messages are in a spool directory.
func spoilRecords(t *testing.T, dir string) {
	t.Helper()
	records, err := filepath.Glob(filepath.Join(dir, "loggers", "*.json"))
	if err != nil || len(records) == 0 {
		t.Fatalf("there are no records: %v", err)
	}
	for _, path := range records {
		if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// leaveTwo makes two loggers of one log leave messages in a spool directory: "message
// 0" to 9, and 10 to 19.
func leaveTwo(t *testing.T, dir string, info logdriver.Info) {
	t.Helper()
	h, err := host.New(hostConfig(t, func(c *host.Config) { c.Spool.Dir, c.Timeouts.Health = dir, time.Minute }))
	if err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	var u *logdriver.UndeliveredError
	for i := range 2 {
		l := open(t, h, "jsonfile", info)
		pid := h.Stats().Drivers[0].Pid
		freeze(t, pid)
		for n := range 10 {
			logLine(t, l, "message %d", 10*i+n)
		}
		if err := l.Shutdown(gone); !errors.As(err, &u) || u.Messages != 10 {
			t.Fatalf("Shutdown: %v", err)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the end of the process", func() bool { return h.Stats().Drivers[0].Pid != pid })
	}
	if err := h.Close(gone); err != nil {
		t.Fatal(err)
	}
}

// readMessages returns the lines of a jsonfile logger's log.
func readMessages(t *testing.T, h *host.Host, info logdriver.Info) (all []string) {
	t.Helper()
	for m, err := range h.ReadLogs(testContext(t), "jsonfile", info, logdriver.ReadConfig{Tail: -1}).All() {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, strings.TrimSuffix(string(m.Line), "\n"))
		logdriver.PutMessage(m)
	}
	return all
}

func checkMessages(t *testing.T, got []string, n int) {
	t.Helper()
	for i := range max(n, len(got)) {
		if i >= len(got) || i >= n || got[i] != fmt.Sprint("message ", i) {
			t.Fatalf("got %q, want message 0 to %d", got, n-1)
		}
	}
}

// TestTwoLeftovers of one log, which its driver opens once at a time: the next host
// delivers both, the older first.
func TestTwoLeftovers(t *testing.T) {
	dir := t.TempDir()
	info := logdriver.Info{ContainerName: "c", LogPath: filepath.Join(t.TempDir(), "log")}
	leaveTwo(t, dir, info)
	deliverRest(t, "jsonfile", info.LogPath, dir)
	checkMessages(t, readMessages(t, newHost(t, nil), info), 20)
}

// TestOpenBehindTwoLeftovers goes on with the newer one, and leaves nothing behind.
func TestOpenBehindTwoLeftovers(t *testing.T) {
	dir := t.TempDir()
	info := logdriver.Info{ContainerName: "c", LogPath: filepath.Join(t.TempDir(), "log")}
	leaveTwo(t, dir, info)
	h := newHost(t, func(c *host.Config) { c.Spool.Dir = dir })
	l := open(t, h, "jsonfile", info)
	for n := range 10 {
		logLine(t, l, "message %d", 20+n)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	checkMessages(t, readMessages(t, h, info), 30)
	if st := h.Stats(); st.SpooledMessages != 0 || len(st.Drivers[0].Loggers) != 0 {
		t.Errorf("%d messages are left, of %d loggers", st.SpooledMessages, len(st.Drivers[0].Loggers))
	}
}

// TestOpenDoesNotWaitForEver for a driver that cannot open what an earlier host left.
func TestOpenDoesNotWaitForEver(t *testing.T) {
	dir := t.TempDir()
	info := logdriver.Info{ContainerName: "c", LogPath: filepath.Join(t.TempDir(), "log")}
	leaveTwo(t, dir, info)
	own := t.TempDir()
	installBytes(t, brokenProgram, filepath.Join(own, "logplug-driver-jsonfile"))
	h, err := host.New(hostConfig(t, func(c *host.Config) {
		c.Spool.Dir, c.PluginDirs, c.NoWatch = dir, []string{own}, true
		c.Timeouts.Start, c.Timeouts.Call = time.Second, 100*time.Millisecond
	}))
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.Open(context.Background(), "jsonfile", info)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "an earlier host left messages") {
		t.Errorf("Open: %v", err)
	}
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	var u *logdriver.UndeliveredError
	if err := h.Close(gone); !errors.As(err, &u) {
		t.Errorf("Close: %v", err)
	}
	deliverRest(t, "jsonfile", info.LogPath, dir)
	checkMessages(t, readMessages(t, newHost(t, nil), info), 20)
}

// TestStreamThatIsLeft is not gone on with while messages of it wait for the next host:
// they would be taken for one another.
func TestStreamThatIsLeft(t *testing.T) {
	dir, fail := t.TempDir(), filepath.Join(t.TempDir(), "fail")
	if err := os.WriteFile(fail, []byte("down"), 0o600); err != nil {
		t.Fatal(err)
	}
	info, file := sinkInfo(t, map[string]string{"fail-file": fail})
	info.Stream = spool.Stream{1}.String()
	h, err := host.New(hostConfig(t, func(c *host.Config) { c.Spool.Dir = dir }))
	if err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	for i := range 2 {
		l := open(t, h, "sink", info)
		stream, last := l.(host.Positioner).Position()
		if first := i == 0; first != (stream == info.Stream) || last != 0 {
			t.Errorf("logger %d is at %d of stream %s", i, last, stream)
		}
		for n := range 10 {
			logLine(t, l, "message %d", 10*i+n)
		}
		var u *logdriver.UndeliveredError
		if err := l.Shutdown(gone); !errors.As(err, &u) || u.Messages != 10 {
			t.Fatalf("Shutdown: %v", err)
		}
	}
	if err := h.Close(gone); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(fail); err != nil {
		t.Fatal(err)
	}
	next := newHost(t, func(c *host.Config) { c.Spool.Dir = dir })
	eventually(t, "delivery", func() bool { return next.Stats().SpooledMessages == 0 })
	checkSink(t, file, 20, false)
}

// TestReadingLeftovers waits for their delivery.
func TestReadingLeftovers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	info := logdriver.Info{ContainerName: "c", LogPath: filepath.Join(t.TempDir(), "log")}
	leaveTwo(t, dir, info)
	checkMessages(t, readMessages(t, newHost(t, func(c *host.Config) { c.Spool.Dir = dir }), info), 20)
}

// TestCloseDeliversLeftovers of one log, though they are opened one after another.
func TestCloseDeliversLeftovers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	info := logdriver.Info{ContainerName: "c", LogPath: filepath.Join(t.TempDir(), "log")}
	leaveTwo(t, dir, info)
	h, err := host.New(hostConfig(t, func(c *host.Config) { c.Spool.Dir = dir }))
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Close(testContext(t)); err != nil {
		t.Error(err)
	}
	checkMessages(t, readMessages(t, newHost(t, nil), info), 20)
}
