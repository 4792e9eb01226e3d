//go:build linux

package containerd_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/logplug/logplug/host/internal/engine"
)

func TestContainers(t *testing.T) {
	long(t)
	c := engine.StartContainerd(t, filepath.Join(programs, "payload"))
	for _, mode := range []struct {
		name string
		with bool
	}{{"Serve", true}, {"Alone", false}} {
		t.Run(mode.name, func(t *testing.T) { testContainers(t, c, mode.with) })
	}
	t.Run("QuickExits", func(t *testing.T) { testQuickExits(t, c) })
	t.Run("ServeKilled", func(t *testing.T) { testServeKilled(t, c) })
	t.Run("ServeStopped", func(t *testing.T) { testServeStopped(t, c) })
	t.Run("Takeover", func(t *testing.T) { testTakeover(t, c) })
	t.Run("Leftover", func(t *testing.T) { testLeftover(t, c) })
	t.Run("Refused", func(t *testing.T) { testRefused(t, c) })
	t.Run("Itself", func(t *testing.T) { testItself(t, c) })
	t.Run("Memory", func(t *testing.T) { testMemory(t, c) })
}

// expect compares the log of a container with what the payload prints.
func expect(t *testing.T, b *bench, id string, args ...string) {
	t.Helper()
	b.ended(id)
	wantOut, wantErr := payload(t, args...)
	gotOut, gotErr := b.logs(id)
	gotErr = withoutNotices(gotErr)
	compare(t, id+" stdout", gotOut, wantOut)
	compare(t, id+" stderr", gotErr, wantErr)
}

// withoutNotices leaves out what logplug itself says: a driver that was killed in the
// middle of a write leaves the beginning of a record, which readers tell of. The
// record itself is there again.
func withoutNotices(stderr string) string {
	var kept strings.Builder
	for line := range strings.Lines(stderr) {
		if !strings.HasPrefix(line, "logplug: log of job ") {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

func compare(t *testing.T, what, got, want string) {
	t.Helper()
	if got == want {
		return
	}
	i := 0
	for i < min(len(got), len(want)) && got[i] == want[i] {
		i++
	}
	t.Errorf("%s: %d bytes instead of %d, which differ at %d: %q instead of %q", what, len(got), len(want), i,
		got[i:min(i+60, len(got))], want[i:min(i+60, len(want))])
}

// testContainers: every byte of both streams comes back, with the drivers that read.
func testContainers(t *testing.T, c *engine.Containerd, with bool) {
	b := newBench(t)
	if with {
		b.serve()
	}
	for driver, args := range map[string][]string{
		"jsonfile": {"bytes", "3000000"},
		"local":    {"lines", "20000", "7"},
	} {
		id := fmt.Sprintf("%s-%v", driver, with)
		if err := c.Run(b.uri("driver="+driver, "label.of=test"), id, args...); err != nil {
			t.Fatal(err)
		}
		if !with {
			b.ended(id)
			b.deliver(id)
		}
		expect(t, b, id, args...)
	}
}

// testQuickExits: the last bytes of containers that end at once survive the teardown.
func testQuickExits(t *testing.T, c *engine.Containerd) {
	b := newBench(t)
	b.serve()
	const containers, atOnce = 12, 3
	slots := make(chan struct{}, atOnce)
	var wg sync.WaitGroup
	for i := range containers {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			id := fmt.Sprintf("quick-%d", i)
			if err := c.Run(b.uri("driver=jsonfile"), id, "text", "first\nlast "+id, "oops"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for i := range containers {
		id := fmt.Sprintf("quick-%d", i)
		expect(t, b, id, "text", "first\nlast "+id, "oops")
	}
}

// testServeKilled: serve is killed again and again while containers write at full
// speed. Nothing is missing, and nothing is there twice.
func testServeKilled(t *testing.T, c *engine.Containerd) {
	b := newBench(t)
	s := b.serve()
	kills := 12
	if testing.Short() {
		kills = 4
	}
	args := []string{"lines", "400000", "3"}
	ids := []string{"killed-a", "killed-b"}
	for _, id := range ids {
		if err := c.Start(b.uri("driver=jsonfile"), id, args...); err != nil {
			t.Fatal(err)
		}
	}
	rnd := rand.New(rand.NewPCG(6, 4))
	log := filepath.Join(b.state, "logs", ids[0], ids[0]+".log")
	killed := 0
	for range kills {
		before := size(log)
		grow := int64(rnd.IntN(1 << 20))
		over := false
		poll(t, "the log to grow", func() bool {
			over = stopped(c, ids[0])
			return over || size(log) > before+grow
		})
		if over {
			break
		}
		s.kill()
		s = b.serve()
		killed++
	}
	if killed < kills/4 {
		t.Errorf("the containers ended after %d kills", killed)
	}
	t.Logf("serve was killed %d times", killed)
	for _, id := range ids {
		poll(t, "the container to end", func() bool { return stopped(c, id) })
		if err := c.Remove(id); err != nil {
			t.Error(err)
		}
		expect(t, b, id, args...)
	}
}

func size(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// stopped tells whether a container's process has ended.
func stopped(c *engine.Containerd, id string) bool {
	out, err := c.Ctr("tasks", "list").Output()
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == id {
			return f[2] == "STOPPED"
		}
	}
	return true
}

// testServeStopped: serve is stopped and started in good order, as for an upgrade.
func testServeStopped(t *testing.T, c *engine.Containerd) {
	b := newBench(t)
	s := b.serve()
	// The container waits for its last turn: it does not end before serve was stopped.
	if err := c.Start(b.uri("driver=local"), "upgraded", "turns", "100000", "5", "4"); err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(b.state, "logs", "upgraded", "upgraded.log")
	for stops := range 3 {
		before := size(log)
		if stops > 0 {
			next(t, c, "upgraded")
		}
		poll(t, "the container to write", func() bool { return size(log) > before })
		s.stop()
		s = b.serve()
	}
	poll(t, "the container to end", func() bool {
		if stopped(c, "upgraded") {
			return true
		}
		next(t, c, "upgraded")
		return false
	})
	if err := c.Remove("upgraded"); err != nil {
		t.Error(err)
	}
	expect(t, b, "upgraded", "lines", "400000", "5")
}

// next makes a container take its next turn, if it has not ended.
func next(t *testing.T, c *engine.Containerd, id string) {
	t.Helper()
	if out, err := c.Ctr("tasks", "kill", "--signal", "USR1", id).CombinedOutput(); err != nil && !stopped(c, id) {
		t.Fatalf("%v: %s", err, out)
	}
}

// testTakeover: a container whose serve does not come back is logged alone.
func testTakeover(t *testing.T, c *engine.Containerd) {
	b := newBench(t)
	s := b.serve()
	if err := c.Start(b.uri("driver=jsonfile", "takeover=200ms"), "orphan", "wait"); err != nil {
		t.Fatal(err)
	}
	poll(t, "the first line", func() bool { out, _ := b.logs("orphan"); return out == "waiting\n" })
	s.kill()
	// Until logplug has begun, SIGTERM, which the container's end brings, ends it too.
	poll(t, "logging alone", func() bool {
		out, err := b.logplug("ls", "--output", "json").Output()
		return err == nil && strings.Contains(jobOf(string(out), "orphan"), `"state": "running"`)
	})
	if err := c.Ctr("tasks", "kill", "--signal", "TERM", "orphan").Run(); err != nil {
		t.Fatal(err)
	}
	poll(t, "the container to end", func() bool { return stopped(c, "orphan") })
	if err := c.Remove("orphan"); err != nil {
		t.Error(err)
	}
	b.ended("orphan")
	b.deliver("orphan")
	if out, _ := b.logs("orphan"); out != "waiting\nended\n" {
		t.Errorf("got %q", out)
	}
}

// testLeftover: what a driver does not take before a container that is logged alone has
// ended is delivered by the next serve.
func testLeftover(t *testing.T, c *engine.Containerd) {
	b := newBench(t)
	dir := t.TempDir()
	out, fail := filepath.Join(dir, "out"), filepath.Join(dir, "fail")
	if err := os.WriteFile(fail, []byte("the sink is down"), 0o600); err != nil {
		t.Fatal(err)
	}
	uri := b.uri("driver=sink", "opt.file="+out, "opt.fail-file="+fail, "opt.cache-disabled=true")
	if err := c.Run(uri, "leftover", "text", "one\ntwo", ""); err != nil {
		t.Fatal(err)
	}
	b.ended("leftover")
	if err := os.Remove(fail); err != nil {
		t.Fatal(err)
	}
	b.serve()
	poll(t, "what is left", func() bool {
		text, _ := os.ReadFile(out)
		return string(text) == "1 one\n2 two\n"
	})
	spool := filepath.Join(b.state, "spools", "leftover")
	poll(t, "the spool to be removed", func() bool { return size(spool) == 0 })
}

// testRefused: a log that cannot be opened is recorded with the reason, which has no
// secret.
func testRefused(t *testing.T, c *engine.Containerd) {
	for _, with := range []bool{true, false} {
		b := newBench(t)
		if with {
			b.serve()
		}
		id := fmt.Sprintf("refused-%v", with)
		_ = c.Run(b.uri("driver=jsonfile", "opt.max-siez=hunter2"), id, "text", "x", "")
		b.ended(id)
		out, err := b.logplug("ls", "--output", "json").Output()
		if err != nil {
			t.Fatal(err)
		}
		if job := jobOf(string(out), id); !strings.Contains(job, "max-siez") || strings.Contains(job, "hunter2") {
			t.Errorf("serve %v: the record says: %s", with, job)
		}
	}
}

// testItself: logplug can be named in place of the small program.
func testItself(t *testing.T, c *engine.Containerd) {
	b := newBench(t)
	b.serve()
	uri := "binary://" + filepath.Join(programs, "logplug") + "?containerd&driver=jsonfile&socket=" + b.sock
	if err := c.Run(uri, "itself", "text", "a\nb\n", "c\n"); err != nil {
		t.Fatal(err)
	}
	expect(t, b, "itself", "text", "a\nb\n", "c\n")
}

// maxRelayKB is the most that a container may cost in memory of its own, in KiB:
// without the program's text, which all share.
const maxRelayKB = 1500

func testMemory(t *testing.T, c *engine.Containerd) {
	b := newBench(t)
	b.serve()
	ids := []string{"idle-a", "idle-b", "idle-c"}
	for _, id := range ids {
		if err := c.Start(b.uri("driver=jsonfile"), id, "wait"); err != nil {
			t.Fatal(err)
		}
	}
	total, n := 0, 0
	for _, pid := range relays(t, b.sock) {
		kb := anonymousKB(t, pid)
		total += kb
		n++
	}
	if n != len(ids) || total/max(n, 1) > maxRelayKB {
		t.Errorf("%d relays of %d containers take %d KiB of memory together", n, len(ids), total)
	}
	t.Logf("a relay takes %d KiB of memory of its own", total/max(n, 1))
	for _, id := range ids {
		if err := c.Remove(id); err != nil {
			t.Error(err)
		}
	}
}

// relays returns the processes of the small program that use a socket.
func relays(t *testing.T, socket string) (pids []string) {
	t.Helper()
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range lines {
		text, err := os.ReadFile(path)
		if err == nil && strings.HasPrefix(string(text), filepath.Join(programs, "logplug-containerd")+"\x00") &&
			strings.Contains(string(text), socket) {
			pids = append(pids, filepath.Base(filepath.Dir(path)))
		}
	}
	return pids
}

func anonymousKB(t *testing.T, pid string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", pid, "smaps_rollup"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "Pss_Anon:" {
			kb, err := strconv.Atoi(f[1])
			if err != nil {
				t.Fatal(err)
			}
			return kb
		}
	}
	t.Fatal("smaps_rollup has no Pss_Anon")
	return 0
}
