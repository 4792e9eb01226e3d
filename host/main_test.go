package host_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/shared/logdriver"
	"go.uber.org/goleak"
)

// plugins is the directory with the drivers that the tests use, built once.
var plugins string

// envPlugins passes plugins on to processes of this binary.
const envPlugins = "LOGPLUG_TEST_PLUGINS"

func TestMain(m *testing.M) {
	if os.Getenv(envVictim) != "" {
		fmt.Fprintln(os.Stderr, runVictim(os.Getenv(envPlugins)))
		os.Exit(1)
	}
	dir, err := os.MkdirTemp("", "logplug-host-test-")
	if err != nil {
		panic(err)
	}
	plugins = dir
	for _, name := range []string{"sink", "discard", "probe"} {
		build("../sdk/testdrivers/"+name, name)
	}
	// The others are for tests of limits and deadlines, which do not go with it.
	var race []string
	if host.RaceDetector() {
		race = []string{"-race"}
	}
	build("../drivers/jsonfile", "jsonfile", race...)
	build("../drivers/local", "local", race...)
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(dir)
		os.Exit(code)
	}))
}

func build(pkg, name string, flags ...string) {
	args := append([]string{"build", "-o", filepath.Join(plugins, "logplug-driver-"+name)}, flags...)
	out, err := exec.Command("go", append(args, pkg)...).CombinedOutput()
	if err != nil {
		panic(fmt.Sprintf("building %s: %v\n%s", pkg, err, out))
	}
}

// newHost returns a host that is closed at the end of the test, when every
// counter must add up.
func newHost(t *testing.T, change func(*host.Config)) *host.Host {
	t.Helper()
	h, err := host.New(hostConfig(t, change))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		checkStats(t, h.Stats())
		ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
		defer cancel()
		if err := h.Close(ctx); err != nil {
			t.Error(err)
		}
		checkStats(t, h.Stats())
		if st := h.Stats(); st.SpooledMessages != 0 || st.SpooledBytes != 0 {
			t.Errorf("after Close the spools are said to hold %d messages, %d bytes", st.SpooledMessages, st.SpooledBytes)
		}
	})
	return h
}

func hostConfig(t *testing.T, change func(*host.Config)) host.Config {
	cfg := host.Config{
		PluginDirs: []string{plugins}, Env: []string{quickRace},
		Logger: hclog.New(&hclog.LoggerOptions{Output: testWriter{t}, Level: hclog.Debug}),
	}
	if change != nil {
		change(&cfg)
	}
	return cfg
}

// quickRace keeps drivers with the race detector from waiting a second before they
// exit.
const quickRace = "GORACE=atexit_sleep_ms=0"

// testWriter writes to the test's log, in which no driver may report a data race.
type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Logf("%s", p)
	if bytes.Contains(p, []byte("WARNING: DATA RACE")) {
		w.t.Error("a driver reports a data race")
	}
	return len(p), nil
}

// checkStats asserts the balance that package host promises: of each open logger, and
// of each driver with the loggers that were closed.
func checkStats(t *testing.T, st host.Stats) {
	t.Helper()
	for _, d := range st.Drivers {
		var spooled host.Count
		for _, l := range d.Loggers {
			spooled.Add(l.Spooled)
			checkBalance(t, "logger "+l.Logger, l.Totals(), l.Spooled)
		}
		checkBalance(t, "driver "+d.Driver, d.Totals, spooled)
	}
}

func checkBalance(t *testing.T, whose string, c host.Totals, spooled host.Count) {
	t.Helper()
	sum := spooled
	for _, part := range []host.Count{c.Acked, c.Dropped, c.Failed, c.Left} {
		sum.Add(part)
	}
	if sum != c.Accepted {
		t.Errorf("%s: accepted %v, but acked %v + dropped %v + failed %v + left %v + spooled %v = %v",
			whose, c.Accepted, c.Acked, c.Dropped, c.Failed, c.Left, spooled, sum)
	}
	by := host.Count{}
	for _, n := range c.DroppedBy {
		by.Add(n)
	}
	if by != c.Dropped {
		t.Errorf("%s: dropped %v, by reason %v", whose, c.Dropped, by)
	}
}

func open(t *testing.T, h *host.Host, driver string, info logdriver.Info) host.Logger {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	l, err := h.Open(ctx, driver, info)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// sinkInfo describes a logger of the sink driver. It returns the sink's file.
func sinkInfo(t *testing.T, config map[string]string) (logdriver.Info, string) {
	file := filepath.Join(t.TempDir(), "sink.txt")
	info := logdriver.Info{ContainerName: "c", Config: map[string]string{"file": file}}
	for k, v := range config {
		info.Config[k] = v
	}
	return info, file
}

func logLine(t *testing.T, l logdriver.Logger, format string, args ...any) {
	t.Helper()
	if err := l.Log(message(format, args...)); err != nil {
		t.Fatal(err)
	}
}

func message(format string, args ...any) *logdriver.Message {
	m := logdriver.NewMessage()
	m.Line = fmt.Appendf(m.Line, format, args...)
	m.Source = "stdout"
	return m
}

// lines returns what a sink's file holds.
func lines(t *testing.T, file string) []string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
}

// eventually waits until ok returns true, for at most a minute.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(60 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("timed out waiting for %s", what)
		}
	}
}

// freezeDriver stops the process of the host's only driver, whichever that is.
func freezeDriver(t *testing.T, h *host.Host) (pid int) {
	t.Helper()
	eventually(t, "a process to stop", func() bool {
		pid = h.Stats().Drivers[0].Pid
		return pid != 0 && syscall.Kill(pid, syscall.SIGSTOP) == nil
	})
	awaitStopped(t, pid)
	return pid
}

// killDriver kills the process of the host's only driver.
func killDriver(t *testing.T, h *host.Host) {
	t.Helper()
	eventually(t, "a process to kill", func() bool {
		pid := h.Stats().Drivers[0].Pid
		return pid != 0 && syscall.Kill(pid, syscall.SIGKILL) == nil
	})
}

// freeze stops a process.
func freeze(t *testing.T, pid int) {
	t.Helper()
	if pid <= 0 {
		t.Fatal("there is no process to stop")
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	awaitStopped(t, pid)
}

// awaitStopped returns when a process has stopped that got SIGSTOP. The signal alone
// does not stop it: a thread must take it first.
func awaitStopped(t *testing.T, pid int) {
	t.Helper()
	if runtime.GOOS != "linux" {
		return
	}
	eventually(t, "the process to stop", func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err != nil || bytes.Contains(stat, []byte(") T ")) // it may have been replaced already
	})
}

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	t.Cleanup(cancel)
	return ctx
}
