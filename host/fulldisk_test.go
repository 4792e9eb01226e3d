package host_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/shared/logdriver"
)

// smallDisk mounts a file system of the given size, such as 2m. fill takes all that is
// left of it, and free gives that back.
func smallDisk(t *testing.T, size string) (dir string, fill, free func()) {
	t.Helper()
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		skip(t, "a small file system is needed, which only root on Linux can mount")
	}
	dir = t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size="+size, "tmpfs", dir).CombinedOutput(); err != nil {
		skip(t, fmt.Sprintf("a small file system cannot be mounted: %v: %s", err, out))
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
	ballast := filepath.Join(dir, "ballast")
	fill = func() {
		f, err := os.Create(ballast)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for err == nil {
			_, err = f.Write(make([]byte, 4<<10))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
	free = func() {
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
	}
	return dir, fill, free
}

// diskSpool returns a logger to a sink that is down, whose spool has message 0 and is on
// a disk that is full, and what mends the sink.
func diskSpool(t *testing.T, config map[string]string) (h *host.Host, l host.Logger, file string, repair, free func()) {
	t.Helper()
	dir, fill, free := smallDisk(t, "4m")
	fail := filepath.Join(t.TempDir(), "fail")
	if err := os.WriteFile(fail, []byte("down"), 0o600); err != nil {
		t.Fatal(err)
	}
	repair = func() {
		if err := os.Remove(fail); err != nil {
			t.Fatal(err)
		}
	}
	h = newHost(t, func(c *host.Config) {
		c.Spool.Dir, c.Spool.LoggerBytes, c.Timeouts.Log = filepath.Join(dir, "spool"), 16<<20, time.Minute
	})
	config["fail-file"] = fail
	info, file := sinkInfo(t, config)
	l = open(t, h, "sink", info)
	if err := l.Log(longMessage(0)); err != nil {
		t.Fatal(err)
	}
	fill()
	return h, l, file, repair, free
}

func longMessage(n int) *logdriver.Message {
	return message("message %d %s", n, strings.Repeat("x", 10000))
}

// TestLogWaitsForTheDisk as for any other room: it goes on when there is room again,
// though no message has left the spool.
func TestLogWaitsForTheDisk(t *testing.T) {
	h, l, file, repair, free := diskSpool(t, map[string]string{})
	more, done := make(chan struct{}, 1), make(chan error, 1)
	n := 1
	go func() {
		for {
			if err := l.Log(longMessage(n)); err != nil {
				done <- err
				return
			}
			n++
			select {
			case <-more:
				done <- nil
				return
			default:
			}
		}
	}()
	eventually(t, "Log to wait", func() bool { return l.Stats().Waits > 0 })
	st := l.Stats()
	if !strings.Contains(st.LastFailure, "no space left on device") {
		t.Errorf("the reason is not seen in stats: %+v", st)
	}
	checkStats(t, h.Stats())
	more <- struct{}{}
	free()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if after := l.Stats(); after.Accepted.Messages != st.Accepted.Messages+1 || after.Acked.Messages != 0 {
		t.Errorf("stats when there was room again: %+v", after)
	}
	repair()
	if err := l.Flush(testContext(t)); err != nil {
		t.Fatal(err)
	}
	checkSink(t, file, n, false)
}

// TestDroppingOnAFullDisk is as in a full spool: counted, and told in the stream.
func TestDroppingOnAFullDisk(t *testing.T) {
	_, l, file, repair, free := diskSpool(t, map[string]string{"mode": "non-blocking", "max-buffer-size": "16m"})
	const n = 1000
	for i := 1; i < n; i++ {
		m := longMessage(i)
		if err := l.Log(m); err != nil {
			if !errors.Is(err, logdriver.ErrSpoolFull) {
				t.Fatal(err)
			}
			logdriver.PutMessage(m)
		}
	}
	free()
	repair()
	if err := l.Flush(testContext(t)); err != nil {
		t.Fatal(err)
	}
	logLine(t, l, "message %d", n)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	checkGaps(t, file, n+1, l.Stats())
}
