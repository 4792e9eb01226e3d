package docker_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/logplug/logplug/host"
)

// usual is far above what Docker takes to stop a container: it waits for ten seconds
// before it kills one.
const usual = 90 * time.Second

// A driver that hangs keeps nobody from stopping, killing and removing containers, and
// their output is there when it goes on.
func TestDriverHangs(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	names := []string{"stopped", "killed", "removed"}
	for _, name := range names {
		r.create(name, "logplug-jsonfile", []string{"max-size=1g", "max-file=1"}, "flood:1000:100000000")
		r.Run("start", name)
	}
	pid := r.pid("jsonfile")
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	r.await("the containers wait", func() bool {
		r.Run(append([]string{"kill", "--signal", "USR1"}, names...)...)
		waiting := 0
		for _, s := range r.stats().Streams {
			if s.JournalBytes >= 4<<20 {
				waiting++
			}
		}
		return waiting == len(names)
	})
	began := time.Now()
	r.Run("stop", "--time", "1", "stopped")
	r.Run("kill", "killed")
	r.Run("rm", "-f", "removed")
	if took := time.Since(began); took > usual {
		t.Errorf("stopping, killing and removing took %s", took)
	}
	// It may have been replaced meanwhile.
	_ = syscall.Kill(pid, syscall.SIGCONT)
	r.await("everything is delivered", func() bool { return len(r.stats().Streams) == 0 })
	for _, name := range names[:2] {
		out, _ := r.logs(name)
		r.checkNumbered(name, out)
	}
}

// checkNumbered looks whether lines are numbered from 1 on; the last one may be cut off.
func (r *rig) checkNumbered(name, out string) {
	r.t.Helper()
	n := 0
	for line := range strings.Lines(out) {
		n++
		if !strings.HasPrefix(line, strconv.Itoa(n)+" ") && strings.HasSuffix(line, "\n") {
			r.t.Fatalf("%s: line %d is %.50q", name, n, line)
		}
	}
	if n < 1000 {
		r.t.Errorf("%s: only %d lines", name, n)
	}
}

// A container whose driver cannot reach its sink starts, and is logged later.
func TestSinkIsDown(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	up := filepath.Join(t.TempDir(), "up")
	r.create("early", "logplug-moody", []string{"until=" + up}, "out:hello", "wait", "out:end")
	r.Run("start", "early")
	r.await("the reason is told", func() bool { return r.out.has("the sink is down") })
	if err := os.WriteFile(up, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r.await("it is logged", func() bool {
		out, err := r.Docker("logs", "early").Output()
		return err == nil && string(out) == "hello\n"
	})
	r.Run("stop", "early")
	out, _ := r.logs("early")
	check(t, "stdout", out, "hello\nend\n")
	checkOptions(t, r)
	checkDrops(t, r)
}

// What is wrong with options is said when the container is started.
func checkOptions(t *testing.T, r *rig) {
	for name, c := range map[string]struct {
		plugin  string
		options []string
		want    string
	}{
		"unknown option":   {"logplug-jsonfile", []string{"max-sise=1m"}, `did you mean "max-size"?`},
		"bad value":        {"logplug-jsonfile", []string{"max-size=much"}, "max-size"},
		"unknown driver":   {"logplug", []string{"driver=jsonfle"}, `did you mean "jsonfile"?`},
		"no driver":        {"logplug", nil, "--log-opt driver=NAME"},
		"bad tag":          {"logplug-jsonfile", []string{"tag={{.Nonsense}}"}, "tag"},
		"bad regex":        {"logplug-jsonfile", []string{"env-regex=("}, "env-regex"},
		"option of others": {"logplug-moody", []string{"cache-max-file=x"}, "cache-max-file"},
	} {
		call := []string{"run", "--network=none", "--log-driver", c.plugin}
		for _, o := range c.options {
			call = append(call, "--log-opt", o)
		}
		_, err := r.Docker(append(call, image, "out:x")...).Output()
		if err == nil || !strings.Contains(exitText(err), c.want) {
			t.Errorf("%s: docker run fails with %v %q, want %q", name, err, exitText(err), c.want)
		}
	}
	if left := r.stats().Streams; len(left) > 0 {
		t.Errorf("containers that were refused have left %v", left)
	}
}

// With mode=non-blocking a container goes on while its driver hangs. What is dropped
// is counted, and told in the log.
func checkDrops(t *testing.T, r *rig) {
	r.create("hasty", "logplug-jsonfile", []string{"mode=non-blocking", "max-buffer-size=64k"}, "count:1:10", "flood:1000:20000", "wait")
	r.Run("start", "hasty")
	pid := r.pid("jsonfile")
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	dropped := func() (n host.Count) {
		for _, d := range r.stats().Host.Drivers {
			if d.Driver == "jsonfile" {
				n = d.Totals.Dropped
			}
		}
		return n
	}
	r.await("drops are counted", func() bool {
		r.Run("kill", "--signal", "USR1", "hasty")
		return dropped().Messages > 0
	})
	r.Run("kill", "--signal", "TERM", "hasty")
	_ = syscall.Kill(pid, syscall.SIGCONT)
	r.await("the drops are told of", func() bool {
		out, errs := r.logs("hasty")
		return strings.Contains(out+errs, "dropped")
	})
	r.Run("kill", "hasty")
}
