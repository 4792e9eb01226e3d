package host_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/shared/logdriver"
)

func jsonInfo(t *testing.T, config map[string]string) logdriver.Info {
	return logdriver.Info{ContainerName: "c", LogPath: filepath.Join(t.TempDir(), "c.log"), Config: config}
}

func readAll(t *testing.T, w *logdriver.LogWatcher) (messages []*logdriver.Message) {
	t.Helper()
	for m, err := range w.All() {
		if err != nil {
			t.Fatal(err)
		}
		messages = append(messages, m)
	}
	return messages
}

func TestUnknownDriver(t *testing.T) {
	h := newHost(t, nil)
	_, err := h.Open(testContext(t), "jsonfiel", logdriver.Info{})
	var u *host.UnknownDriverError
	if !errors.As(err, &u) || u.Nearest != "jsonfile" || !strings.Contains(err.Error(), "jsonfile") {
		t.Fatalf("Open: %v", err)
	}
}

// TestBadOptions: an option or value that does not exist is named, with what
// there is, and the nearest.
func TestBadOptions(t *testing.T) {
	h := newHost(t, nil)
	for _, c := range []struct{ option, value, want string }{
		{"max-sise", "1m", `did you mean "max-size"?`},
		{"max-size", "much", "size"},
		{"sync", "sometimes", "interval"},
		{"compress", "true", "max-size"},
	} {
		_, err := h.Open(testContext(t), "jsonfile", jsonInfo(t, map[string]string{c.option: c.value}))
		var o *logdriver.OptionError
		if !errors.As(err, &o) || o.Option != c.option || o.Driver != "jsonfile" || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s=%s: %v", c.option, c.value, err)
		}
	}
}

func TestProgramsThatAreNoDrivers(t *testing.T) {
	dir := t.TempDir()
	for name, script := range map[string]string{
		"exits":  "#!/bin/sh\necho cannot find my hat >&2\nexit 5\n",
		"prints": "#!/bin/sh\necho hello\nexec sleep 100\n",
		"future": "#!/bin/sh\necho '1|99|unix|/nowhere|grpc'\nexec sleep 100\n",
	} {
		installBytes(t, []byte(script), filepath.Join(dir, "logplug-driver-"+name))
	}
	h := newHost(t, func(c *host.Config) {
		c.PluginDirs = []string{dir}
		c.Timeouts.Start = 5 * time.Second // all that one waits for
	})
	for name, want := range map[string]string{
		"exits": "cannot find my hat", "prints": "logplug driver", "future": "protocol version 99, this host speaks version 1",
	} {
		_, err := h.Open(testContext(t), name, logdriver.Info{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestDamagedLogFile: reading goes on behind damage, and reports it; so does
// writing.
func TestDamagedLogFile(t *testing.T) {
	h := newHost(t, nil)
	info := jsonInfo(t, nil)
	l := open(t, h, "jsonfile", info)
	for i := range 10 {
		logLine(t, l, "message %d", i)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(info.LogPath)
	if err != nil {
		t.Fatal(err)
	}
	records := bytes.SplitAfter(raw, []byte("\n"))
	records[3] = append(bytes.Repeat([]byte{0}, 50), '\n')                    // overwritten
	records[5] = []byte("what a foreign program wrote\n")                     // foreign
	records[9] = bytes.TrimSuffix(records[9][:len(records[9])/2], []byte{10}) // torn
	if err := os.WriteFile(info.LogPath, bytes.Join(records, nil), 0o640); err != nil {
		t.Fatal(err)
	}
	l = open(t, h, "jsonfile", info)
	logLine(t, l, "message 10")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	var got []string
	reports := 0
	for _, m := range readAll(t, h.ReadLogs(testContext(t), "jsonfile", info, logdriver.ReadConfig{Tail: -1})) {
		if m.Err != nil {
			reports++
			continue
		}
		got = append(got, string(m.Line))
	}
	var want []string
	for _, i := range []int{0, 1, 2, 4, 6, 7, 8, 10} {
		want = append(want, fmt.Sprintf("message %d\n", i))
	}
	if fmt.Sprint(got) != fmt.Sprint(want) || reports != 3 {
		t.Fatalf("%d reports, read %q", reports, got)
	}
}

// TestFullDisk: a logger on a full file system waits, says so, and goes on when
// there is room; nothing is lost.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		skip(t, "a small file system is needed, which only root on Linux can mount")
	}
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", dir).CombinedOutput(); err != nil {
		skip(t, fmt.Sprintf("a small file system cannot be mounted: %v: %s", err, out))
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 200<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	h := newHost(t, nil)
	info := jsonInfo(t, nil)
	info.LogPath = filepath.Join(dir, "c.log")
	l := open(t, h, "jsonfile", info)
	const n = 1000
	for i := range n {
		logLine(t, l, "message %d %s", i, strings.Repeat("x", 100))
	}
	eventually(t, "the full disk in the statistics", func() bool {
		return strings.Contains(l.Stats().Blocked, "no space left on device")
	})
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for i, m := range readAll(t, h.ReadLogs(testContext(t), "jsonfile", info, logdriver.ReadConfig{Tail: -1})) {
		if m.Err != nil || !strings.HasPrefix(string(m.Line), fmt.Sprintf("message %d ", i)) {
			t.Fatalf("message %d: %q, %v", i, m.Line, m.Err)
		}
	}
	if st := l.Stats(); st.Acked.Messages != n {
		t.Fatalf("stats: %+v", st)
	}
}

// skip skips the test, which is a failure where everything must be checked.
func skip(t *testing.T, reason string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(reason)
	}
	t.Skip(reason)
}

// TestThousandLoggers has them open on one process at once, each with its own
// file, written and read at the same time.
func TestThousandLoggers(t *testing.T) {
	// All at once are slower than one, the more so with the race detector.
	const patience = 5 * time.Minute
	h := newHost(t, func(c *host.Config) {
		c.Timeouts.Call, c.Timeouts.Close, c.Timeouts.Health = patience, patience, patience
	})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	dir := t.TempDir()
	const loggers, n = 1000, 20
	var wg, opening sync.WaitGroup
	opening.Add(loggers)
	for i := range loggers {
		wg.Go(func() {
			info := logdriver.Info{ContainerName: fmt.Sprint("c", i), LogPath: filepath.Join(dir, fmt.Sprint(i, ".log"))}
			l, err := h.Open(ctx, "jsonfile", info)
			opening.Done()
			if err != nil {
				t.Error(err)
				return
			}
			opening.Wait() // none is closed before all are open
			follow := l.(logdriver.LogReader).ReadLogs(ctx, logdriver.ReadConfig{Tail: -1, Follow: true})
			wg.Go(func() { checkFollowed(t, follow, i, n) })
			for k := range n {
				if err := l.Log(message("logger %d message %d", i, k)); err != nil {
					t.Error(err)
				}
			}
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if st := h.Stats(); len(st.Drivers) != 1 || st.Drivers[0].Restarts != 0 {
		t.Fatalf("stats: %+v", st)
	}
}

func checkFollowed(t *testing.T, w *logdriver.LogWatcher, logger, n int) {
	k := 0
	for m, err := range w.All() {
		if err != nil {
			t.Errorf("logger %d: %v", logger, err)
			return
		}
		if want := fmt.Sprintf("logger %d message %d\n", logger, k); string(m.Line) != want {
			t.Errorf("read %q, want %q", m.Line, want)
		}
		k++
		logdriver.PutMessage(m)
	}
	if k != n {
		t.Errorf("logger %d: followed %d messages, want %d", logger, k, n)
	}
}
