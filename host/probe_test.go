package host_test

import (
	"encoding/json"
	"testing"

	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/shared/logdriver"
)

// report is what the probe driver tells of its process.
type report struct {
	Version    string
	PID        int
	UID        int
	GID        int
	Groups     []int
	Dir        string
	Args       []string
	Executable string
	Env        []string
	Status     string
	Limits     string
	Results    map[string]string
}

// probe opens a logger of the probe driver, and returns its report.
func probe(t *testing.T, h *host.Host, info logdriver.Info) *report {
	t.Helper()
	if info.ContainerName == "" {
		info.ContainerName = "p"
	}
	l := open(t, h, "probe", info)
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	return readReport(t, l)
}

// readReport reads the log of a logger of the probe driver.
func readReport(t *testing.T, l host.Logger) *report {
	t.Helper()
	r := &report{}
	for m, err := range l.(logdriver.LogReader).ReadLogs(testContext(t), logdriver.ReadConfig{Tail: -1}).All() {
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(m.Line, r); err != nil {
			t.Fatal(err)
		}
	}
	return r
}
