package metrics_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/shared/logdriver"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.uber.org/goleak"
)

// plugins is the directory with the driver that the tests use, built once.
var plugins string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "logplug-metrics-test-")
	if err != nil {
		panic(err)
	}
	plugins = dir
	out, err := exec.Command("go", "build", "-o", filepath.Join(dir, "logplug-driver-sink"), "../../sdk/testdrivers/sink").CombinedOutput()
	if err != nil {
		panic(fmt.Sprintf("building the sink driver: %v\n%s", err, out))
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(dir)
		os.Exit(code)
	}))
}

// testWriter writes to the test's log.
type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Logf("%s", p)
	return len(p), nil
}

// newHost returns a host that is closed at the end of the test.
func newHost(t *testing.T, change func(*host.Config)) *host.Host {
	t.Helper()
	cfg := host.Config{
		PluginDirs: []string{plugins},
		Logger:     hclog.New(&hclog.LoggerOptions{Output: testWriter{t}, Level: hclog.Warn}),
	}
	if change != nil {
		change(&cfg)
	}
	h, err := host.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
		defer cancel()
		if err := h.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return h
}

// open opens a logger of the sink driver.
func open(t *testing.T, h *host.Host, name string, config map[string]string) host.Logger {
	t.Helper()
	info := logdriver.Info{ContainerName: name, Config: map[string]string{"file": filepath.Join(t.TempDir(), "sink.txt")}}
	for k, v := range config {
		info.Config[k] = v
	}
	l, err := h.Open(t.Context(), "sink", info)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// failFile returns a new file with whose existence a sink's storing fails.
func failFile(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "fail")
	if err := os.WriteFile(file, []byte("down"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func message(format string, args ...any) *logdriver.Message {
	m := logdriver.NewMessage()
	m.Line = fmt.Appendf(m.Line, format, args...)
	m.Source = "stdout"
	return m
}

// logAll logs n messages and waits until they are settled.
func logAll(t *testing.T, l host.Logger, n int) {
	t.Helper()
	for i := range n {
		if err := l.Log(message("message %d", i)); err != nil {
			t.Fatal(err)
		}
	}
	flush(t, l)
}

func flush(t *testing.T, l host.Logger) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	if err := l.Flush(ctx); err != nil {
		t.Fatal(err)
	}
}

func closeLogger(t *testing.T, l host.Logger) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
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

func register(t *testing.T, cs ...prometheus.Collector) *prometheus.Registry {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	for _, c := range cs {
		if err := reg.Register(c); err != nil {
			t.Fatal(err)
		}
	}
	return reg
}

// samples are values by name and labels, as in name{key="value",...}.
type samples map[string]float64

func gather(t *testing.T, reg prometheus.Gatherer) samples {
	t.Helper()
	list, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := make(samples)
	for _, f := range list {
		for _, m := range f.GetMetric() {
			all[f.GetName()+labelText(m)] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return all
}

// labelText writes labels, which a registry sorts.
func labelText(m *dto.Metric) string {
	text := ""
	for _, p := range m.GetLabel() {
		text += fmt.Sprintf(",%s=%q", p.GetName(), p.GetValue())
	}
	if text == "" {
		return ""
	}
	return "{" + text[1:] + "}"
}

// want asserts values of samples.
func (s samples) want(t *testing.T, expected samples) {
	t.Helper()
	for name, v := range expected {
		if got, ok := s[name]; !ok || got != v {
			t.Errorf("%s is %v (present: %t), want %v", name, got, ok, v)
		}
	}
}
