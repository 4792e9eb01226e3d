package host_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/shared/logdriver"
)

// TestMessagesLieInSharedMemory: a driver gets large requests without a copy by the system.
func TestMessagesLieInSharedMemory(t *testing.T) {
	h := newHost(t, nil)
	info, file := sinkInfo(t, nil)
	l := open(t, h, "sink", info)
	for i := range 20 {
		logLine(t, l, "message %d %s", i, strings.Repeat("x", 50_000))
	}
	if err := l.Flush(testContext(t)); err != nil {
		t.Fatal(err)
	}
	if n := sharedKiB(t, pidOf(h, "sink")); n < 50 {
		t.Errorf("the driver has read %d KiB of the memory that it shares with the host", n)
	}
	checkSink(t, file, 20, false)
}

// TestBusyLoggersOutliveTheirDriver: messages that lie where a driver reads them, which is killed again
// and again, arrive through its successors, in order.
func TestBusyLoggersOutliveTheirDriver(t *testing.T) {
	h := newHost(t, nil)
	const loggers, n = 2, 60_000
	var wg sync.WaitGroup
	var files []string
	progress := make(chan struct{}, loggers*n/10_000)
	for range loggers {
		info, file := sinkInfo(t, nil)
		l := open(t, h, "sink", info)
		files = append(files, file)
		wg.Go(func() {
			for i := range n {
				if err := l.Log(message("message %d %s", i, strings.Repeat("x", i%200))); err != nil {
					t.Error(err)
					return
				}
				if i%10_000 == 0 {
					progress <- struct{}{}
				}
			}
			if err := l.Flush(testContext(t)); err != nil {
				t.Error(err)
			}
		})
	}
	for range cap(progress) {
		<-progress
		if pid := pidOf(h, "sink"); pid != 0 {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended
		}
	}
	wg.Wait()
	if st := h.Stats().Drivers[0]; st.Restarts == 0 {
		t.Error("the driver was never replaced")
	}
	for _, file := range files {
		checkSink(t, file, n, true)
	}
}

// TestMemoryThatIsKept: a driver that never gives its memory back gets its messages
// nevertheless.
func TestMemoryThatIsKept(t *testing.T) {
	dir, _ := hostileDrivers(t)
	for _, name := range []string{"memory-honest", "memory-kept", "memory-scribbled", "memory-holes", "memory-resized"} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, func(c *host.Config) { c.PluginDirs = []string{dir} })
			l := open(t, h, "hostile-"+name, logdriver.Info{ContainerName: "victim"})
			for i := range 60 {
				logLine(t, l, "line %d %s", i, strings.Repeat("x", []int{100, 5000, 200 << 10, 900 << 10}[i%4]))
			}
			if err := l.Flush(testContext(t)); err != nil {
				t.Error(err)
			}
			if st := h.Stats().Drivers[0]; st.Restarts > 0 {
				t.Errorf("the driver was replaced: %s", st.LastError)
			}
		})
	}
}

// sharedKiB returns how much of its write memory a process has touched.
func sharedKiB(t *testing.T, pid int) (kib int) {
	t.Helper()
	smaps, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps", pid))
	if err != nil {
		t.Fatal(err)
	}
	inside := false
	for line := range strings.Lines(string(smaps)) {
		fields := strings.Fields(line)
		switch {
		case strings.Contains(line, "logplug-write-memory"):
			inside = true
		case inside && fields[0] == "Rss:":
			if kib, err = strconv.Atoi(fields[1]); err != nil {
				t.Fatal(err)
			}
			return kib
		}
	}
	t.Fatal("the process shares no memory")
	return 0
}
