package launch

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"
)

// fakeCgroup is a directory with the files of a cgroup.
func fakeCgroup(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestCgroupEnablesMemory(t *testing.T) {
	dir := fakeCgroup(t, map[string]string{"cgroup.controllers": "cpu memory pids\n", "cgroup.subtree_control": "cpu\n"})
	if err := enableMemory(dir); err != nil {
		t.Fatal(err)
	}
	if text, _ := os.ReadFile(filepath.Join(dir, "cgroup.subtree_control")); !strings.Contains(string(text), "+memory") {
		t.Errorf("subtree_control is %q", text)
	}
	dir = fakeCgroup(t, map[string]string{"cgroup.controllers": "cpu\n", "cgroup.subtree_control": "\n"})
	if err := enableMemory(dir); err == nil || !strings.Contains(err.Error(), "no memory controller") {
		t.Errorf("err = %v", err)
	}
}

func TestCgroupTellsOfKills(t *testing.T) {
	for text, want := range map[string]bool{
		"low 0\noom 1\noom_kill 0\noom_group_kill 0\n": false,
		"low 0\noom 1\noom_kill 2\n":                   true,
		"":                                             false,
	} {
		c := &cgroup{path: fakeCgroup(t, map[string]string{"memory.events": text})}
		if got := c.oomKilled(); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// TestCgroupHoldsProcess starts a process in a real cgroup, without a limit where
// the system has none to give.
func TestCgroupHoldsProcess(t *testing.T) {
	own, err := ownCgroup()
	if err != nil {
		t.Skipf("needs a cgroup2 file system, which this system lacks: %v", err)
	}
	if unix.Access(own, unix.W_OK) != nil {
		t.Skipf("needs a cgroup in which this user can make others")
	}
	path, err := os.MkdirTemp(own, cgroupPrefix+"test-")
	if err != nil {
		t.Skipf("needs a cgroup in which this user can make others: %v", err)
	}
	dir, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	b := &box{log: hclog.NewNullLogger(), cgroup: &cgroup{path: path, dir: dir}}
	out := &boundedBuffer{limit: 1 << 16, full: make(chan struct{})}
	c, err := spawn(t.Context(), command{
		path: "/bin/sh", args: []string{"-c", "cat /proc/self/cgroup; setsid sleep 600 & exit 0"}, stdout: out, stderr: &boundedBuffer{full: make(chan struct{})}, box: b,
	})
	if err != nil {
		t.Fatal(err)
	}
	<-c.done
	if !strings.Contains(string(out.bytes()), filepath.Base(path)) {
		t.Errorf("the process was in %q", out.bytes())
	}
	if exists(path) {
		procs, _ := os.ReadFile(filepath.Join(path, "cgroup.procs"))
		t.Errorf("%s is left, with processes %q", path, procs)
	}
}

// TestCgroupGivenMustWork: where a directory is named, there is no other way.
func TestCgroupGivenMustWork(t *testing.T) {
	cfg, _ := program(t, "good")
	cfg.Sandbox = Sandbox{MemoryLimit: 1 << 30, Cgroup: t.TempDir()}
	if _, err := Start(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), cfg.Sandbox.Cgroup) {
		t.Errorf("err = %v", err)
	}
	noSockets(t, cfg)
}

// TestMemoryLimitByCgroup runs where the system has the means.
func TestMemoryLimitByCgroup(t *testing.T) {
	if _, err := cgroupParent(""); err != nil {
		t.Skipf("needs a cgroup with limits of memory, which this system lacks: %v", err)
	}
	cfg, _ := program(t, "greedy")
	cfg.Sandbox = Sandbox{MemoryLimit: 64 << 20}
	_, err := Start(t.Context(), cfg)
	if err == nil || !strings.Contains(err.Error(), "which its cgroup enforces") {
		t.Errorf("err = %v", err)
	}
}
