package host_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/shared/logdriver"
)

// cacheDriver is the driver that keeps caches in these tests.
const cacheDriver = "local"

// withCache configures a cache in dir.
func withCache(dir string, change func(*host.Config)) func(*host.Config) {
	return func(c *host.Config) {
		c.Cache = host.CacheConfig{Driver: cacheDriver, Dir: dir}
		if change != nil {
			change(c)
		}
	}
}

// cached asserts that l can be read.
func cached(t *testing.T, l host.Logger) logdriver.LogReader {
	t.Helper()
	r, ok := l.(logdriver.LogReader)
	if !ok {
		t.Fatal("the logger has no cache")
	}
	return r
}

// readLines returns the lines of a reading that must end without an error. Records
// that a killed driver did not finish are reported.
func readLines(t *testing.T, w *logdriver.LogWatcher) (all []string) {
	t.Helper()
	for m, err := range w.All() {
		if err != nil {
			t.Fatalf("after %d lines: %v", len(all), err)
		}
		if m.Err != nil {
			t.Logf("after %d lines: %v", len(all), m.Err)
			continue
		}
		all = append(all, strings.TrimSuffix(string(m.Line), "\n"))
		logdriver.PutMessage(m)
	}
	return all
}

// wantMessages asserts that all are the messages 0 to n-1, each once and in order.
func wantMessages(t *testing.T, all []string, n int) {
	t.Helper()
	for i, line := range all {
		if !strings.HasPrefix(line+" ", fmt.Sprintf("message %d ", i)) {
			t.Fatalf("line %d is %.60q", i, line)
		}
	}
	if len(all) != n {
		t.Fatalf("%d messages are in the cache, want %d", len(all), n)
	}
}

// cacheOf returns the statistics of l's cache, which must be in balance.
func cacheOf(t *testing.T, l host.Logger) host.LoggerStats {
	t.Helper()
	c := l.Stats().Cache
	if c == nil {
		t.Fatal("there are no statistics of the cache")
	}
	checkBalance(t, "cache of "+c.Logger, c.Totals(), c.Spooled)
	return *c
}

func pidOf(h *host.Host, driver string) int {
	for _, d := range h.Stats().Drivers {
		if d.Driver == driver {
			return d.Pid
		}
	}
	return 0
}

var everything = logdriver.ReadConfig{Tail: -1}

// TestCache reads what a driver that cannot read was given: live, following, when
// the logger is closed, and with another host.
func TestCache(t *testing.T) {
	dir := t.TempDir()
	h := newHost(t, withCache(dir, nil))
	info, file := sinkInfo(t, nil)
	l := open(t, h, "sink", info)
	r := cached(t, l)
	const n = 500
	for i := range n / 2 {
		logLine(t, l, "message %d", i)
	}
	wantMessages(t, readLines(t, r.ReadLogs(testContext(t), everything)), n/2)
	follow := r.ReadLogs(testContext(t), logdriver.ReadConfig{Tail: -1, Follow: true})
	for i := range n / 2 {
		logLine(t, l, "message %d", n/2+i)
	}
	if c := cacheOf(t, l); c.Driver != cacheDriver || c.CacheOf != "sink" || c.Logger != l.Stats().Logger || c.Accepted.Messages != n {
		t.Errorf("statistics of the cache: %+v", c)
	}
	listed := 0
	for _, d := range h.Stats().Drivers {
		for _, s := range d.Loggers {
			if listed++; (d.Driver == cacheDriver) != (s.CacheOf == "sink") {
				t.Errorf("statistics of driver %s: %+v", d.Driver, s)
			}
		}
	}
	if listed != 2 {
		t.Errorf("%d loggers are listed, want 2", listed)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	wantMessages(t, readLines(t, follow), n)
	checkSink(t, file, n, false)
	if err := l.Close(); !errors.Is(err, logdriver.ErrClosed) {
		t.Errorf("the second Close: %v", err)
	}
	if err := l.Log(message("late")); !errors.Is(err, logdriver.ErrClosed) {
		t.Errorf("Log after Close: %v", err)
	}
	wantMessages(t, readLines(t, h.ReadLogs(testContext(t), "sink", info, everything)), n)

	next := newHost(t, withCache(dir, nil))
	wantMessages(t, readLines(t, next.ReadLogs(testContext(t), "sink", info, everything)), n)
	l = open(t, next, "sink", info)
	logLine(t, l, "message %d", n)
	wantMessages(t, readLines(t, cached(t, l).ReadLogs(testContext(t), everything)), n+1)
	if got := readLines(t, next.ReadLogs(testContext(t), "sink", info, logdriver.ReadConfig{Tail: 1})); len(got) != 1 {
		t.Errorf("the last one: %q", got)
	}
}

// TestCacheBesideLogPath uses the place that a logger's own log would have.
func TestCacheBesideLogPath(t *testing.T) {
	h := newHost(t, withCache("", nil))
	info, _ := sinkInfo(t, nil)
	if l, err := h.Open(testContext(t), "sink", info); err == nil || !strings.Contains(err.Error(), "no place for its cache") {
		t.Fatalf("Open without a LogPath: %v, %v", l, err)
	}
	info.LogPath = filepath.Join(t.TempDir(), "c.log")
	l := open(t, h, "sink", info)
	logLine(t, l, "message 0")
	wantMessages(t, readLines(t, cached(t, l).ReadLogs(testContext(t), everything)), 1)
	if _, err := os.Stat(info.LogPath + ".cache"); err != nil {
		t.Error(err)
	}
}

// TestCacheOptions has the options honoured, and kept from the driver, which would
// refuse them.
func TestCacheOptions(t *testing.T) {
	for _, compress := range []bool{false, true} {
		t.Run(fmt.Sprint("compress=", compress), func(t *testing.T) { testCacheOptions(t, compress) })
	}
}

func testCacheOptions(t *testing.T, compress bool) {
	dir := t.TempDir()
	h := newHost(t, withCache(dir, nil))
	info, _ := sinkInfo(t, map[string]string{"cache-max-size": "4k", "cache-max-file": "3", "cache-compress": fmt.Sprint(compress)})
	l := open(t, h, "sink", info)
	for i := range 1000 {
		logLine(t, l, "message %d", i)
	}
	if compress { // in the background
		eventually(t, "a compressed file", func() bool {
			_, compressed := cacheFiles(t, dir)
			return len(compressed) > 0
		})
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	plain, compressed := cacheFiles(t, dir)
	for _, path := range append(plain, compressed...) {
		fi, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it has just been compressed
		}
		if err != nil {
			t.Fatal(err)
		}
		if fi.Size() > 128<<10 {
			t.Errorf("%s has %d bytes", path, fi.Size())
		}
	}
	if !compress && (len(plain) != 3 || len(compressed) != 0) {
		t.Errorf("the files are %q and %q", plain, compressed)
	}
	got := readLines(t, h.ReadLogs(testContext(t), "sink", info, everything))
	if len(got) == 0 || len(got) == 1000 || got[len(got)-1] != "message 999" {
		t.Errorf("%d lines are left", len(got))
	}
}

// cacheFiles returns the files of the only cache in dir that hold messages.
func cacheFiles(t *testing.T, dir string) (plain, compressed []string) {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "*", "cache.log*"))
	if err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile(`^cache\.log(\.[0-9]+)?(\.zst)?$`)
	for _, path := range all {
		switch m := name.FindStringSubmatch(filepath.Base(path)); {
		case m == nil: // an index, or a lock
		case m[2] != "":
			compressed = append(compressed, path)
		default:
			plain = append(plain, path)
		}
	}
	return plain, compressed
}

func TestCacheOptionsAreChecked(t *testing.T) {
	h := newHost(t, withCache(t.TempDir(), nil))
	bare := newHost(t, nil)
	for _, c := range []struct {
		name, driver string
		host         *host.Host
		config       map[string]string
		want         string
	}{
		{"size", "sink", h, map[string]string{"cache-max-size": "big"}, `option "cache-max-size": "big" is not a size`},
		{"no size", "sink", h, map[string]string{"cache-max-size": "0"}, `option "cache-max-size": "0" is not a size greater than 0`},
		{"files", "sink", h, map[string]string{"cache-max-file": "0"}, `option "cache-max-file": "0" is not a number of 1 or more`},
		{"compress", "sink", h, map[string]string{"cache-compress": "maybe"}, `"maybe" is neither true nor false`},
		{"disabled", "sink", h, map[string]string{"cache-disabled": ""}, `option "cache-disabled": "" is neither true nor false`},
		{"nothing to compress", "sink", h, map[string]string{"cache-max-file": "1", "cache-compress": "true"}, "compresses rotated files"},
		{"one file", "sink", h, map[string]string{"cache-max-file": "1"}, ""},
		{"disabled and sized", "sink", h, map[string]string{"cache-disabled": "true", "cache-max-file": "2"}, "has no effect with cache-disabled=true"},
		{"misspelt", "sink", h, map[string]string{"cache-max-sise": "1m"}, `did you mean "cache-max-size"?`},
		{"misspelt mode", "sink", h, map[string]string{"mod": "blocking"}, `did you mean "mode"?`},
		{"a driver that reads", cacheDriver, h, map[string]string{"cache-max-size": "1m"}, "for drivers that cannot read"},
		{"disabled for a driver that reads", cacheDriver, h, map[string]string{"cache-disabled": "true"}, ""},
		{"no cache", "sink", bare, map[string]string{"cache-max-size": "1m"}, "keeps no cache"},
		{"disabled without cache", "sink", bare, map[string]string{"cache-disabled": "true"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			info, _ := sinkInfo(t, c.config)
			if c.driver == cacheDriver {
				delete(info.Config, "file")
				info.LogPath = filepath.Join(t.TempDir(), "x.log")
			}
			l, err := c.host.Open(testContext(t), c.driver, info)
			var option *logdriver.OptionError
			switch {
			case c.want == "" && err == nil:
				if err := l.Close(); err != nil {
					t.Error(err)
				}
			case c.want == "" || !errors.As(err, &option) || !strings.Contains(err.Error(), c.want):
				t.Fatalf("Open: %v; want %q", err, c.want)
			}
		})
	}
}

func TestCacheDisabled(t *testing.T) {
	dir := t.TempDir()
	h := newHost(t, withCache(dir, nil))
	info, file := sinkInfo(t, map[string]string{"cache-disabled": "true"})
	l := open(t, h, "sink", info)
	if _, ok := l.(logdriver.LogReader); ok || l.Stats().Cache != nil {
		t.Error("there is a cache")
	}
	logLine(t, l, "message 0")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	checkSink(t, file, 1, false)
	for _, err := range h.ReadLogs(testContext(t), "sink", info, everything).All() {
		if !errors.Is(err, logdriver.ErrReadLogsNotSupported) {
			t.Errorf("ReadLogs: %v", err)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("in the directory of caches: %v", left)
	}
}

// TestCacheOfDroppedMessages: what a policy keeps from a slow sink can be read.
func TestCacheOfDroppedMessages(t *testing.T) {
	for _, policy := range []string{host.DropNewest, host.DropOldest} {
		t.Run(policy, func(t *testing.T) {
			h := newHost(t, withCache(t.TempDir(), nil))
			fail := filepath.Join(t.TempDir(), "fail")
			if err := os.WriteFile(fail, []byte("down"), 0o600); err != nil {
				t.Fatal(err)
			}
			info, _ := sinkInfo(t, map[string]string{"fail-file": fail, "mode": "non-blocking", "max-buffer-size": "16k", "drop": policy})
			l := open(t, h, "sink", info)
			const n = 3000
			for i := range n {
				m := message("message %d", i)
				if err := l.Log(m); errors.Is(err, logdriver.ErrSpoolFull) {
					logdriver.PutMessage(m)
				} else if err != nil {
					t.Fatal(err)
				}
			}
			wantMessages(t, readLines(t, cached(t, l).ReadLogs(testContext(t), everything)), n)
			if st := l.Stats(); st.Dropped.Messages == 0 {
				t.Errorf("statistics: %+v", st)
			}
			if err := os.Remove(fail); err != nil {
				t.Fatal(err)
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestCacheOfLongLines: each driver gets lines in the parts that it takes.
func TestCacheOfLongLines(t *testing.T) {
	h := newHost(t, withCache(t.TempDir(), nil))
	info, file := sinkInfo(t, map[string]string{"buf-size": "100"})
	l := open(t, h, "sink", info)
	for i := range 100 {
		logLine(t, l, "message %d %s", i, strings.Repeat("z", 100*i))
	}
	wantMessages(t, readLines(t, cached(t, l).ReadLogs(testContext(t), everything)), 100)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if n := len(lines(t, file)); n < 4000 {
		t.Errorf("the sink got %d parts", n)
	}
}

// TestCacheOfAClosingLogger: whatever Log accepted while the logger is being closed
// is in the cache as well.
func TestCacheOfAClosingLogger(t *testing.T) {
	for name, closeAll := range map[string]func(*host.Host, host.Logger) error{
		"logger": func(_ *host.Host, l host.Logger) error { return l.Shutdown(context.Background()) },
		"host":   func(h *host.Host, _ host.Logger) error { return h.Close(context.Background()) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			h := newHost(t, withCache(dir, nil))
			info, _ := sinkInfo(t, nil)
			l := open(t, h, "sink", info)
			var wg sync.WaitGroup
			began := make(chan struct{}, 4)
			for range cap(began) {
				wg.Go(func() {
					for i := 0; ; i++ {
						if err := l.Log(message("message %d", i)); errors.Is(err, logdriver.ErrClosed) {
							return
						} else if err != nil {
							t.Error(err)
							return
						}
						if i == 100 {
							began <- struct{}{}
						}
					}
				})
			}
			for range cap(began) {
				<-began
			}
			if err := closeAll(h, l); err != nil {
				t.Fatal(err)
			}
			wg.Wait()
			st, c := l.Stats(), cacheOf(t, l)
			if st.Acked.Messages != st.Accepted.Messages || c.Acked.Messages != st.Acked.Messages {
				t.Errorf("the sink has %d of %d, the cache %d", st.Acked.Messages, st.Accepted.Messages, c.Acked.Messages)
			}
			next := newHost(t, withCache(dir, nil))
			if got := len(readLines(t, next.ReadLogs(testContext(t), "sink", info, everything))); uint64(got) != st.Accepted.Messages {
				t.Errorf("%d messages are in the cache, want %d", got, st.Accepted.Messages)
			}
		})
	}
}

// TestCacheAllocatesNothing: encoding a message twice takes no more memory than
// once.
func TestCacheAllocatesNothing(t *testing.T) {
	if host.RaceDetector() {
		t.Skip("the race detector allocates")
	}
	h := newHost(t, withCache(t.TempDir(), nil))
	info, _ := sinkInfo(t, nil)
	l := open(t, h, "sink", info)
	line := []byte("a line of some length")
	log := func() {
		for range 1000 {
			m := logdriver.NewMessage()
			m.Line, m.Source = append(m.Line, line...), "stdout"
			if err := l.Log(m); err != nil {
				t.Fatal(err)
			}
		}
	}
	log()
	// What other goroutines allocate meanwhile counts too, more or less of it.
	least := testing.AllocsPerRun(1, log)
	for range 4 {
		least = min(least, testing.AllocsPerRun(1, log))
	}
	if least > 500 {
		t.Errorf("%v allocations for 1000 messages", least)
	}
}
