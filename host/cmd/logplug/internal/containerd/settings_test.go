package containerd

import (
	"strings"
	"testing"

	"github.com/logplug/logplug/host/cmd/logplug/internal/jobs"
)

func TestParseSettings(t *testing.T) {
	s, err := ParseSettings([]string{
		"opt.max-size", "10m", "containerd", "", "driver", "jsonfile", "label.a", "b", "name", "web", "opt-file", "/f", "socket", "/s", "takeover", "1s",
	})
	if err != nil || s.Driver != "jsonfile" || s.Name != "web" || s.Options["max-size"] != "10m" || s.Labels["a"] != "b" || len(s.OptionFiles) != 1 {
		t.Errorf("%+v, %v", s, err)
	}
	for want, pairs := range map[string][]string{
		`"driver"`: {"dirver", "x"},
		"opt.NAME": {"max-size", "secret"},
		"no value": {"driver"},
		"unknown":  {"opt.", "x"},
	} {
		_, err := ParseSettings(pairs)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", pairs, err)
		}
	}
}

func TestInvoked(t *testing.T) {
	env := []string{"CONTAINER_ID=web", "CONTAINER_NAMESPACE=default"}
	for _, c := range []struct {
		args, env []string
		want      bool
	}{
		{[]string{"driver", "jsonfile", "containerd", ""}, env, true},
		{[]string{"containerd", ""}, env, true},
		{[]string{"containerd", ""}, append(env, "HOME=/"), false},
		{[]string{"containerd"}, env, false},
		{[]string{"run", "containerd"}, env, false},
		{[]string{"driver", "jsonfile"}, env, false},
	} {
		if _, ok := Invoked(c.args, c.env); ok != c.want {
			t.Errorf("%q with %q: %v", c.args, c.env, ok)
		}
	}
}

func TestJobID(t *testing.T) {
	long := strings.Repeat("n", 76)
	for c, want := range map[Container]string{
		{"web", "default"}: "web",
		{"web", ""}:        "web",
		{"web", "k8s.io"}:  "k8s.io--web",
	} {
		if got := c.JobID(); got != want {
			t.Errorf("%v: %q", c, got)
		}
	}
	if err := jobs.CheckID(Container{long, long}.JobID()); err != nil {
		t.Error(err)
	}
}
