package host_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"

	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/shared/logdriver"
)

// debugged runs a driver without a host, as a debugger does. It returns its process
// and what attaches a host to it.
func debugged(t *testing.T, driver string) (p *os.Process, attach string) {
	t.Helper()
	cmd := exec.Command(filepath.Join(plugins, "logplug-driver-"+driver), "--debug")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	variable := regexp.MustCompile(`^LOGPLUG_ATTACH_DRIVERS='(.*)'$`)
	for printed := bufio.NewScanner(out); printed.Scan(); {
		if m := variable.FindStringSubmatch(printed.Text()); m != nil {
			return cmd.Process, m[1]
		}
	}
	t.Fatal("the driver has not printed what attaches to it")
	return nil, ""
}

// checkLog asserts that the log has messages 0 to n-1, each once.
func checkLog(t *testing.T, h *host.Host, driver string, info logdriver.Info, n int) {
	t.Helper()
	got := readAll(t, h.ReadLogs(testContext(t), driver, info, logdriver.ReadConfig{Tail: -1}))
	for i, m := range got {
		if want := fmt.Sprintf("message %d\n", i); string(m.Line) != want {
			t.Fatalf("message %d is %q", i, m.Line)
		}
	}
	if len(got) != n {
		t.Fatalf("read %d messages, want %d", len(got), n)
	}
}

// TestAttachedDriverServesHosts one after the other.
func TestAttachedDriverServesHosts(t *testing.T) {
	_, attach := debugged(t, "jsonfile")
	info := jsonInfo(t, nil)
	for i := range 3 {
		h, err := host.New(hostConfig(t, func(c *host.Config) { c.Attach = attach }))
		if err != nil {
			t.Fatal(err)
		}
		l := open(t, h, "jsonfile", info)
		logLine(t, l, "message %d", i)
		if err := l.Flush(testContext(t)); err != nil {
			t.Error(err)
		}
		checkLog(t, h, "jsonfile", info, i+1)
		if err := h.Close(testContext(t)); err != nil {
			t.Error(err)
		}
	}
}

// TestAttachedDriverMayStop: a debugger stops its process for longer than any other
// driver may take, and nothing is lost.
func TestAttachedDriverMayStop(t *testing.T) {
	p, attach := debugged(t, "jsonfile")
	h := newHost(t, func(c *host.Config) {
		c.Attach = attach
		c.Timeouts.Health, c.Timeouts.Progress = 50*time.Millisecond, 100*time.Millisecond
	})
	info := jsonInfo(t, nil)
	l := open(t, h, "jsonfile", info)
	logLine(t, l, "message 0")
	freeze(t, p.Pid)
	logLine(t, l, "message 1")
	// Each of these calls takes far longer than the host needs to see that the
	// driver does not go on.
	for range 3 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		if _, err := h.Describe(ctx, "jsonfile"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("describing a driver that is stopped: %v", err)
		}
		cancel()
	}
	if st := h.Stats().Drivers[0]; st.LastError != "" {
		t.Errorf("the host has given the driver up: %s", st.LastError)
	}
	if err := p.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if err := l.Shutdown(testContext(t)); err != nil {
		t.Error(err)
	}
	if st := l.Stats(); st.Acked.Messages != 2 {
		t.Errorf("stats: %+v", st)
	}
	checkLog(t, h, "jsonfile", info, 2)
}

// TestAttachedDriverIsAttachedAgain when a connection with it breaks: its loggers
// are still open in it then, with their files.
func TestAttachedDriverIsAttachedAgain(t *testing.T) {
	_, attach := debugged(t, "jsonfile")
	h := newHost(t, func(c *host.Config) { c.Attach = attach })
	var infos []logdriver.Info
	var loggers []host.Logger
	for range 3 {
		info := jsonInfo(t, nil)
		infos = append(infos, info)
		loggers = append(loggers, open(t, h, "jsonfile", info))
	}
	const breaks = 3
	for i := range breaks {
		host.BreakSession(h, "jsonfile", errors.New("it breaks"))
		for _, l := range loggers {
			logLine(t, l, "message %d", i)
		}
		for _, l := range loggers {
			eventually(t, "an acknowledgement", func() bool { return l.Stats().Acked.Messages == uint64(i+1) })
		}
	}
	if st := h.Stats().Drivers[0]; st.Restarts != breaks {
		t.Errorf("attached again %d times, want %d", st.Restarts, breaks)
	}
	for i, l := range loggers {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		checkLog(t, h, "jsonfile", infos[i], breaks)
	}
}
