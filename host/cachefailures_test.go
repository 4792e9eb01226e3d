package host_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/logplug/logplug/host"
)

// TestCacheThatIsMissing is installed later: nothing waits for it, and nothing is
// lost.
func TestCacheThatIsMissing(t *testing.T) {
	drivers := t.TempDir()
	link := func(name string) {
		if err := os.Link(filepath.Join(plugins, "logplug-driver-"+name), filepath.Join(drivers, "logplug-driver-"+name)); err != nil {
			t.Fatal(err)
		}
	}
	link("sink")
	h := newHost(t, withCache(t.TempDir(), func(c *host.Config) {
		c.PluginDirs = []string{drivers}
		c.Timeouts.Quarantine = 50 * time.Millisecond
	}))
	info, file := sinkInfo(t, nil)
	l := open(t, h, "sink", info)
	for i := range 100 {
		logLine(t, l, "message %d", i)
	}
	if c := cacheOf(t, l); !strings.Contains(c.Blocked, `no driver "local"`) || c.Spooled.Messages != 100 {
		t.Errorf("statistics of the cache: %+v", c)
	}
	if err := l.Flush(testContext(t)); err != nil {
		t.Fatal(err)
	}
	checkSink(t, file, 100, false)
	link(cacheDriver)
	wantMessages(t, readLines(t, cached(t, l).ReadLogs(testContext(t), everything)), 100)
	if c := cacheOf(t, l); c.Blocked != "" || c.Acked.Messages != 100 {
		t.Errorf("statistics of the cache: %+v", c)
	}

	without := newHost(t, func(c *host.Config) {
		c.PluginDirs = []string{plugins}
		c.Cache = host.CacheConfig{Driver: "nowhere", Dir: t.TempDir()}
	})
	info, _ = sinkInfo(t, nil)
	l = open(t, without, "sink", info)
	logLine(t, l, "message 0")
	if err := l.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	if c := cacheOf(t, l); c.DroppedBy[host.DropUndelivered].Messages != 1 {
		t.Errorf("statistics of the cache: %+v", c)
	}
}

// TestCacheThatCannotRead is a mistake in the configuration.
func TestCacheThatCannotRead(t *testing.T) {
	h := newHost(t, func(c *host.Config) { c.Cache = host.CacheConfig{Driver: "discard", Dir: t.TempDir()} })
	info, _ := sinkInfo(t, nil)
	// Open does not wait for long for the process of a cache.
	if _, err := h.Describe(testContext(t), "discard"); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Open(testContext(t), "sink", info); err == nil || !strings.Contains(err.Error(), "the cache of logger c") {
		t.Fatalf("Open: %v", err)
	}
}

// TestCacheThatCannotBeOpened has no directory for a while.
func TestCacheThatCannotBeOpened(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "caches")
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	h := newHost(t, withCache(dir, nil))
	info, file := sinkInfo(t, nil)
	l := open(t, h, "sink", info)
	for i := range 100 {
		logLine(t, l, "message %d", i)
	}
	eventually(t, "the reason", func() bool { return strings.Contains(cacheOf(t, l).Blocked, "not a directory") })
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	wantMessages(t, readLines(t, cached(t, l).ReadLogs(testContext(t), everything)), 100)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	checkSink(t, file, 100, false)
}

// TestCacheThatHangs drops messages, which are counted and marked, and holds up
// neither Log nor the sink.
func TestCacheThatHangs(t *testing.T) {
	h := newHost(t, withCache(t.TempDir(), func(c *host.Config) {
		c.Spool.LoggerBytes = host.MinSpoolBytes
		c.Timeouts.Health = time.Hour // nothing replaces the process here
	}))
	info, file := sinkInfo(t, nil)
	l := open(t, h, "sink", info)
	logLine(t, l, "message 0")
	pid := 0
	eventually(t, "the cache's process", func() bool { pid = pidOf(h, cacheDriver); return pid > 0 })
	freeze(t, pid)
	defer func() { _ = syscall.Kill(pid, syscall.SIGCONT) }()
	const n = 4000
	text := strings.Repeat("x", 1000)
	for i := 1; i < n; i++ {
		logLine(t, l, "message %d %s", i, text)
	}
	if err := l.Flush(testContext(t)); err != nil {
		t.Fatal(err)
	}
	checkSink(t, file, n, false)
	c := cacheOf(t, l)
	dropped := c.DroppedBy[host.DropOldest].Messages + c.DroppedBy[host.DropNewest].Messages
	if dropped == 0 || c.Waits > 5 {
		t.Errorf("statistics of the cache: %+v", c)
	}
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	lines, marks := 0, 0
	for _, line := range readLines(t, cached(t, l).ReadLogs(testContext(t), everything)) {
		if strings.HasPrefix(line, "message ") {
			lines++
		} else if strings.Contains(line, "were dropped here") {
			marks++
		}
	}
	if uint64(lines)+dropped < n || lines >= n || marks == 0 {
		t.Errorf("%d lines and %d marks are in the cache, %d messages were dropped, %d logged", lines, marks, dropped, n)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if st := l.Stats(); st.Dropped.Messages != 0 || st.Acked.Messages != n {
		t.Errorf("statistics: %+v", st)
	}
	cacheOf(t, l)
}

// TestCacheOfKilledDrivers kills both drivers meanwhile. The cache has each message
// once.
func TestCacheOfKilledDrivers(t *testing.T) {
	h := newHost(t, withCache(t.TempDir(), nil))
	info, file := sinkInfo(t, nil)
	l := open(t, h, "sink", info)
	const n, kills = 30_000, 6
	rnd := rand.New(rand.NewPCG(1, 2))
	at := map[int]bool{}
	for range kills {
		at[rnd.IntN(n)] = true
	}
	for i := range n {
		logLine(t, l, "message %d", i)
		if at[i] {
			for _, driver := range []string{"sink", cacheDriver} {
				if pid := pidOf(h, driver); pid > 0 {
					if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
						t.Fatal(err)
					}
				}
			}
		}
	}
	wantMessages(t, readLines(t, cached(t, l).ReadLogs(testContext(t), everything)), n)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	checkSink(t, file, n, true)
}

// TestCacheOfAKilledHost kills hosts with a spool directory again and again: the
// next one delivers what both drivers lack, to the cache once.
func TestCacheOfAKilledHost(t *testing.T) {
	t.Setenv(envCache, cacheDriver)
	rnd := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	dir := t.TempDir()
	log, spoolDir := filepath.Join(dir, "log"), filepath.Join(dir, "spool")
	for range 15 {
		killVictim(t, "sink", log, spoolDir, time.Duration(rnd.IntN(30))*time.Millisecond)
	}
	raw, err := os.ReadFile(log + ".accepted")
	if err != nil {
		t.Fatal(err)
	}
	accepted := binary.LittleEndian.Uint64(raw)
	deliverAll(t, spoolDir)
	checkVictim(t, "sink", log, accepted, true)
	h := newHost(t, withCache("", nil))
	next := 0
	for _, line := range readLines(t, h.ReadLogs(testContext(t), "sink", victimInfo("sink", log), everything)) {
		var i int
		if _, err := fmt.Sscanf(line, "message %d", &i); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		// A host that is killed in Log may have accepted a message that the next one
		// logs again.
		if i != next && i != next-1 {
			t.Fatalf("message %d, want %d", i, next)
		}
		next = i + 1
	}
	if uint64(next) < accepted {
		t.Errorf("%d messages were accepted, %d are in the cache", accepted, next)
	}
}

// deliverAll is the next host on the directory. It opens nothing, and need not be
// told of a cache.
func deliverAll(t *testing.T, spoolDir string) {
	t.Helper()
	h := newHost(t, func(c *host.Config) { c.Spool.Dir = spoolDir })
	eventually(t, "the rest to be delivered", func() bool {
		st := h.Stats()
		open := 0
		for _, d := range st.Drivers {
			open += len(d.Loggers)
		}
		return st.SpooledBytes == 0 && st.CacheSpooledBytes == 0 && open == 0
	})
}
