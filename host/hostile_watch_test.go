package host_test

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"sync"
	"testing"
	"time"
)

// hostileLogs keeps the ends of what is written to it.
type hostileLogs struct {
	mu    sync.Mutex
	text  bytes.Buffer
	total int
}

func (l *hostileLogs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total += len(p)
	if l.text.Len() < 4*hostileLog {
		l.text.Write(p)
	}
	return len(p), nil
}

func (l *hostileLogs) size() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.total
}

func (l *hostileLogs) contains(s string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Contains(l.text.Bytes(), []byte(s))
}

func (l *hostileLogs) tail() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := l.text.Bytes()
	return string(text[max(0, len(text)-8<<10):])
}

// heapWatch notes the peak of the heap.
type heapWatch struct {
	before, peak uint64
	quit         chan struct{}
	ended        chan struct{}
	once         sync.Once
}

func watchHeap() *heapWatch {
	runtime.GC()
	w := &heapWatch{before: heapBytes(), quit: make(chan struct{}), ended: make(chan struct{})}
	go func() {
		defer close(w.ended)
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for {
			w.peak = max(w.peak, heapBytes())
			select {
			case <-tick.C:
			case <-w.quit:
				return
			}
		}
	}()
	return w
}

// heapBytes is what objects on the heap take, dead ones that are not swept yet
// included.
func heapBytes() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

func (w *heapWatch) stop() {
	w.once.Do(func() { close(w.quit) })
	<-w.ended
}

func (w *heapWatch) check(t *testing.T) {
	t.Helper()
	w.stop()
	t.Logf("the heap grew by %d KiB", (w.peak-w.before)>>10)
	if w.peak > w.before+hostileHeap {
		t.Errorf("the heap grew from %d to %d MiB", w.before>>20, w.peak>>20)
	}
}

// checkLeftOvers waits until no process of dir's programs and no socket is left.
func checkLeftOvers(t *testing.T, dir, sockets string) {
	t.Helper()
	if left, err := os.ReadDir(sockets); err != nil || len(left) > 0 {
		t.Errorf("left in the directory of sockets: %v, %v", left, err)
	}
	eventually(t, "the end of all processes", func() bool { return len(processesOf(dir)) == 0 })
}

// processesOf returns the command lines of processes whose program is in dir, where
// the system has a /proc.
func processesOf(dir string) (found []string) {
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline") // the pattern is valid
	for _, name := range lines {
		// A process may end meanwhile.
		if b, err := os.ReadFile(name); err == nil && bytes.HasPrefix(b, []byte(dir+"/")) {
			found = append(found, string(b))
		}
	}
	return found
}
