package docker_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// slack is how much longer than with Docker's own json-file stopping, killing and removing
// may take. It is for slow machines, and far below the two minutes after which a driver
// that hangs is replaced.
const slack = 30 * time.Second

// A driver that hangs keeps nobody from stopping, killing and removing containers, and
// their output is there when it goes on.
func TestDriverHangs(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	usual := r.end3(r.flood("json-file", nil))
	t.Logf("with json-file they take %s", usual)
	t.Run("stopped", func(t *testing.T) {
		r := r.on(t)
		c := r.flood("logplug-jsonfile", []string{"max-size=1g", "max-file=1"})
		stopped := make(map[int]bool)
		r.awaitWaiting(c, func() { // also those that replace one
			if pid := r.process("jsonfile"); !stopped[pid] && r.freeze(pid) {
				stopped[pid] = true
			}
		})
		r.checkEnd(c, usual)
		for pid := range stopped {
			thaw(pid)
		}
		r.checkDelivered(c)
	})
	// It answers: nothing but time ends its hanging.
	t.Run("answering", func(t *testing.T) {
		r := r.on(t)
		dir := t.TempDir()
		hang := filepath.Join(dir, "hang")
		if err := os.WriteFile(hang, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		c := r.flood("logplug-sink", []string{"hang-file=" + hang, "file=" + filepath.Join(dir, "sink")})
		r.awaitWaiting(c, func() {})
		r.checkEnd(c, usual)
		if err := os.Remove(hang); err != nil {
			t.Fatal(err)
		}
		r.checkDelivered(c)
	})
}

// flooding is containers that write at full speed, one for each way to end.
type flooding struct{ stopped, killed, removed string }

func (f *flooding) names() []string { return []string{f.stopped, f.killed, f.removed} }

// flood starts such containers; they write from the first signal USR1 on.
func (r *rig) flood(plugin string, options []string) *flooding {
	r.t.Helper()
	c := &flooding{plugin + "-stopped", plugin + "-killed", plugin + "-removed"}
	for _, name := range c.names() {
		r.create(name, plugin, options, "flood:1000:100000000")
		r.Run("start", name)
	}
	return c
}

// awaitWaiting makes the containers write until each waits for its driver. It calls stop
// again and again.
func (r *rig) awaitWaiting(c *flooding, stop func()) {
	r.t.Helper()
	r.await("the containers wait", func() bool {
		stop()
		r.Run(append([]string{"kill", "--signal", "USR1"}, c.names()...)...)
		waiting := 0
		for _, s := range r.stats().Streams {
			if s.JournalBytes >= 4<<20 {
				waiting++
			}
		}
		return waiting == len(c.names())
	})
}

// end3 ends the containers in three ways, and returns how long that takes.
func (r *rig) end3(c *flooding) time.Duration {
	r.t.Helper()
	began := time.Now()
	r.Run("stop", "--time", "1", c.stopped)
	r.Run("kill", c.killed)
	r.Run("rm", "-f", c.removed)
	return time.Since(began)
}

func (r *rig) checkEnd(c *flooding, usual time.Duration) {
	r.t.Helper()
	took := r.end3(c)
	r.t.Logf("they take %s", took)
	if took > usual+slack {
		r.t.Errorf("stopping, killing and removing took %s, with json-file %s", took, usual)
	}
}

// checkDelivered waits for the rest of the output, and looks whether it is all there.
func (r *rig) checkDelivered(c *flooding) {
	r.t.Helper()
	r.await("everything is delivered", func() bool { return len(r.stats().Streams) == 0 })
	for _, name := range c.names()[:2] {
		out, _ := r.logs(name)
		r.checkNumbered(name, out)
	}
}

// checkNumbered looks whether lines are numbered from 1 on; the last one may be cut off, or say
// how many there are.
func (r *rig) checkNumbered(name, out string) {
	r.t.Helper()
	n := 0
	for line := range strings.Lines(out) {
		n++
		numbered := strings.HasPrefix(line, strconv.Itoa(n)+" ") || line == fmt.Sprintf("total %d\n", n-1)
		if !numbered && strings.HasSuffix(line, "\n") {
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
	if out, err := r.Docker("logs", "early").Output(); !strings.Contains(exitText(err), "not logged yet") {
		t.Errorf("docker logs prints %q, and fails with %v", out, err)
	}
	if err := os.WriteFile(up+".new", []byte("it is warming up"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(up+".new", up); err != nil { // the driver looks at any time
		t.Fatal(err)
	}
	r.await("another reason is told", func() bool { return r.out.has("it is warming up") })
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
	r.await("containers that were refused leave nothing", func() bool { return len(r.stats().Streams) == 0 })
}

// With mode=non-blocking a container goes on while its driver hangs. What is dropped
// is counted, and told in the log.
func checkDrops(t *testing.T, r *rig) {
	r.create("hasty", "logplug-jsonfile", []string{"mode=non-blocking", "max-buffer-size=64k"}, "count:1:10", "flood:1000:20000", "wait")
	r.Run("start", "hasty")
	pid := r.process("jsonfile")
	if !r.freeze(pid) {
		t.Fatal("the driver has ended")
	}
	r.await("drops are counted", func() bool {
		r.Run("kill", "--signal", "USR1", "hasty")
		_, dropped := r.counts("jsonfile")
		return dropped > 0
	})
	r.Run("kill", "--signal", "TERM", "hasty")
	thaw(pid)
	r.await("the drops are told of", func() bool {
		out, errs := r.logs("hasty")
		return strings.Contains(out+errs, "dropped")
	})
	r.Run("kill", "hasty")
}

// counts returns how many messages of a driver were accepted, and how many of them dropped.
func (r *rig) counts(driver string) (accepted, dropped uint64) {
	for _, d := range r.stats().Host.Drivers {
		if d.Driver == driver {
			return d.Totals.Accepted.Messages, d.Totals.Dropped.Messages
		}
	}
	return 0, 0
}

// What comes behind drops is logged, also if the plugins are stopped before they could tell
// of the drops.
func TestStoppedAfterDrops(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	dir := t.TempDir()
	hang, sink := filepath.Join(dir, "hang"), filepath.Join(dir, "sink")
	if err := os.WriteFile(hang, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r.create("hasty", "logplug-sink", []string{"mode=non-blocking", "max-buffer-size=64k", "hang-file=" + hang, "file=" + sink},
		"pour:1000:40", "begin", "pour:1000:40", "begin", "pour:1000:40", "begin", "out:behind", "wait")
	r.Run("start", "hasty")
	for n := uint64(40); ; n += 40 { // in portions that Docker's own buffer has room for
		r.await("a portion is read", func() bool {
			accepted, _ := r.counts("sink")
			return accepted == n
		})
		if n == 120 {
			break
		}
		r.Run("kill", "--signal", "USR1", "hasty")
	}
	if _, dropped := r.counts("sink"); dropped < 40 {
		t.Fatalf("%d messages are dropped: the last ones are not", dropped)
	}
	r.end(r.cmd, r.exited, syscall.SIGTERM)
	r.Run("kill", "--signal", "USR1", "hasty")
	if err := os.Remove(hang); err != nil {
		t.Fatal(err)
	}
	r.start()
	r.await("what came behind is logged", func() bool {
		text, err := os.ReadFile(sink)
		return err == nil && strings.Contains(string(text), " behind\n")
	})
	r.Run("rm", "-f", "hasty")
}

// A disk without room keeps nobody from stopping, killing and removing containers. What
// cannot be stored is counted.
func TestDiskIsFull(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(r *rig) {
		r.inside("mkdir", "-p", r.state)
		r.inside("mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", r.state)
	})
	fill := filepath.Join(r.state, "fill")
	c := r.flood("logplug-jsonfile", nil)
	r.inside("sh", "-c", `! cat /dev/zero >"$1"`, "sh", fill)
	r.await("the containers wait", func() bool {
		r.Run(append([]string{"kill", "--signal", "USR1"}, c.names()...)...)
		return strings.Count(r.out.tail(), "cannot be stored; it waits") == len(c.names())
	})
	r.end3(c)
	r.await("what is lost is counted", func() bool { return r.stats().LostBytes > 0 })
	if !r.out.has("output of a container was lost") {
		t.Error("that output was lost is not told")
	}
	r.inside("rm", fill)
	r.await("what is stored is delivered", func() bool { return len(r.stats().Streams) == 0 })
	r.run("afterwards", "logplug-jsonfile", nil, "out:hello")
	out, _ := r.logs("afterwards")
	check(t, "stdout", out, "hello\n")
}

// inside runs a command that sees the daemon's mounts.
func (r *rig) inside(name string, args ...string) {
	r.t.Helper()
	if err := r.RunInside(name, args...); err != nil {
		r.t.Fatal(err)
	}
}

// freeze stops a driver, until the end of the test at the latest. It returns false if the driver
// has just ended.
func (r *rig) freeze(pid int) bool {
	if syscall.Kill(pid, syscall.SIGSTOP) != nil {
		return false
	}
	r.t.Cleanup(func() { thaw(pid) })
	return true
}

// thaw makes a driver go on that may have ended.
func thaw(pid int) { _ = syscall.Kill(pid, syscall.SIGCONT) }
