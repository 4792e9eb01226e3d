package host_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/shared/logdriver"
	"golang.org/x/sys/unix"
)

// field returns a line of /proc/PID/status.
func (r *report) field(name string) string {
	for line := range strings.Lines(r.Status) {
		if v, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// limit returns the soft and hard values of a line of /proc/PID/limits.
func (r *report) limit(name string) string {
	for line := range strings.Lines(r.Limits) {
		if v, ok := strings.CutPrefix(line, name); ok {
			return strings.Join(strings.Fields(v)[:2], " ")
		}
	}
	return ""
}

// boxed returns a host that confines its drivers.
func boxed(t *testing.T, s host.Sandbox, change func(*host.Config)) *host.Host {
	t.Helper()
	return newHost(t, func(c *host.Config) {
		c.Sandbox = map[string]host.Sandbox{host.AnyDriver: s}
		if change != nil {
			change(c)
		}
	})
}

func config(kv ...string) logdriver.Info {
	info := logdriver.Info{Config: map[string]string{}}
	for i := 0; i < len(kv); i += 2 {
		info.Config[kv[i]] = kv[i+1]
	}
	return info
}

// lacking skips a test for want of something that a kernel may lack.
func lacking(t *testing.T, what string) {
	t.Helper()
	t.Skipf("needs %s, which this system lacks", what)
}

// needRoot skips a test that changes users. Continuous integration must be able to.
func needRoot(t *testing.T) {
	t.Helper()
	switch {
	case os.Geteuid() == 0:
	case os.Getenv("CI") == "true":
		t.Fatal("the tests of sandboxes must run as root")
	default:
		lacking(t, "root")
	}
}

func needLandlock(t *testing.T, abi int) {
	t.Helper()
	v, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	switch {
	case errno == unix.ENOSYS || errno == unix.EOPNOTSUPP:
		lacking(t, "Landlock")
	case errno != 0:
		t.Fatal(errno)
	case int(v) < abi:
		lacking(t, fmt.Sprintf("version %d of Landlock", abi))
	}
}

func wantResult(t *testing.T, r *report, what, want string) {
	t.Helper()
	got, ok := r.Results[what]
	if !ok || (want == "" && got != "") || !strings.Contains(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func TestSandboxLeavesTheHostAlone(t *testing.T) {
	needLandlock(t, 4)
	h := boxed(t, host.Sandbox{ConfineWrites: true, ConfineTCP: true, Required: true}, nil)
	for range 5 { // threads come and go
		r := probe(t, h, config())
		if r.field("NoNewPrivs") != "1" {
			t.Errorf("NoNewPrivs of the driver is %q", r.field("NoNewPrivs"))
		}
		if err := syscall.Kill(r.PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the end of the process", func() bool { return h.Stats().Drivers[0].Pid != r.PID })
	}
	_ = probe(t, h, config())
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		status, _ := os.ReadFile("/proc/self/task/" + task.Name() + "/status")
		if (&report{Status: string(status)}).field("NoNewPrivs") == "1" && !isDriverThread(t, h, task.Name()) {
			t.Errorf("thread %s of the host is confined", task.Name())
		}
	}
	// Goroutines land on any thread.
	for range 200 {
		if err := os.WriteFile(filepath.Join(t.TempDir(), "file"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// isDriverThread tells whether a thread of the host is the one that holds the
// driver's process.
func isDriverThread(t *testing.T, h *host.Host, tid string) bool {
	children, err := os.ReadFile("/proc/self/task/" + tid + "/children")
	if err != nil {
		t.Fatal(err)
	}
	return slices.Contains(strings.Fields(string(children)), strconv.Itoa(h.Stats().Drivers[0].Pid))
}

func TestSandboxUser(t *testing.T) {
	needRoot(t)
	if err := os.Chmod(plugins, 0o755); err != nil {
		t.Fatal(err)
	}
	h := boxed(t, host.Sandbox{User: "65534", Group: "65533", WorkingDir: "/", Env: []string{"PROBE=yes"}, Required: true}, nil)
	r := probe(t, h, config("write", "/etc/logplug-probe"))
	if r.UID != 65534 || r.GID != 65533 || len(r.Groups) > 1 || r.Dir != "/" || !slices.Contains(r.Env, "PROBE=yes") {
		t.Errorf("uid %d, gid %d, groups %v, dir %s, env %q", r.UID, r.GID, r.Groups, r.Dir, r.Env)
	}
	wantResult(t, r, "write /etc/logplug-probe", "permission denied")
	if caps := r.field("CapEff"); strings.Trim(caps, "0") != "" {
		t.Errorf("it has capabilities %s", caps)
	}
}

func TestSandboxLimits(t *testing.T) {
	h := boxed(t, host.Sandbox{Required: true, Rlimits: map[host.Rlimit]uint64{
		host.RlimitAddressSpace: 4 << 30, host.RlimitOpenFiles: 64, host.RlimitProcesses: 500, host.RlimitCPU: 100,
		host.RlimitCore: 0, host.RlimitFileSize: 1 << 20,
	}}, nil)
	r := probe(t, h, config("open", "100"))
	for name, want := range map[string]string{
		"Max address space": "4294967296 4294967296", "Max open files": "64 64", "Max processes": "500 500",
		"Max cpu time": "100 102", "Max core file size": "0 0", "Max file size": "1048576 1048576",
	} {
		if got := r.limit(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	wantResult(t, r, "open", "too many open files")
}

func TestSandboxNewPrivileges(t *testing.T) {
	for want, s := range map[string]host.Sandbox{"1": {}, "0": {AllowNewPrivs: true}} {
		if r := probe(t, boxed(t, s, nil), config()); r.field("NoNewPrivs") != want {
			t.Errorf("AllowNewPrivs %v: NoNewPrivs is %q", s.AllowNewPrivs, r.field("NoNewPrivs"))
		}
	}
}

func TestSandboxConfinesWrites(t *testing.T) {
	needLandlock(t, 3)
	allowed, denied, logs := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "new", "logs")
	h := boxed(t, host.Sandbox{ConfineWrites: true, WritePaths: []string{allowed}, Required: true}, nil)
	good, bad, log := filepath.Join(allowed, "f"), filepath.Join(denied, "f"), filepath.Join(logs, "x.log")
	info := config("write", strings.Join([]string{good, bad, os.DevNull}, ","))
	info.LogPath = log
	r := probe(t, h, info)
	wantResult(t, r, "write "+good, "")
	wantResult(t, r, "write "+os.DevNull, "")
	wantResult(t, r, "write "+bad, "permission denied")
	wantResult(t, r, "log path", "")

	// A logger elsewhere has the process replaced, and so has one after a process
	// without loggers was started.
	info.LogPath, info.ContainerName = filepath.Join(t.TempDir(), "y.log"), "q"
	q := probe(t, h, info)
	wantResult(t, q, "log path", "")
	if q.PID == r.PID {
		t.Error("the process was not replaced")
	}
}

func TestSandboxConfinesTCP(t *testing.T) {
	needLandlock(t, 4)
	var address, port []string
	for range 2 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		_, p, _ := net.SplitHostPort(l.Addr().String())
		address, port = append(address, l.Addr().String()), append(port, p)
	}
	allowed, err := strconv.Atoi(port[0])
	if err != nil {
		t.Fatal(err)
	}
	attempt := config("connect", strings.Join(address, ","), "listen", "127.0.0.1:0")
	r := probe(t, boxed(t, host.Sandbox{ConfineTCP: true, ConnectPorts: []int{allowed}, Required: true}, nil), attempt)
	wantResult(t, r, "connect "+address[0], "")
	wantResult(t, r, "connect "+address[1], "permission denied")
	wantResult(t, r, "listen 127.0.0.1:0", "permission denied")

	r = probe(t, boxed(t, host.Sandbox{ConfineTCP: true, ListenPorts: []int{0}, Required: true}, nil), attempt)
	wantResult(t, r, "connect "+address[0], "permission denied")
	wantResult(t, r, "listen 127.0.0.1:0", "")
}

func TestSandboxConfinesSignals(t *testing.T) {
	needLandlock(t, 6)
	self := strconv.Itoa(os.Getpid())
	r := probe(t, boxed(t, host.Sandbox{ConfineWrites: true, Required: true}, nil), config("signal", self))
	wantResult(t, r, "signal "+self, "not permitted")
}

// TestSandboxMemory: a process that grows ends, and the host says why.
func TestSandboxMemory(t *testing.T) {
	const limit = 256 << 20
	h := boxed(t, host.Sandbox{MemoryLimit: limit, Required: true}, nil)
	r := probe(t, h, config("allocate", "16m"))
	if !slices.Contains(r.Env, fmt.Sprintf("GOMEMLIMIT=%d", limit/10*9)) {
		t.Errorf("no GOMEMLIMIT in %q", r.Env)
	}
	if r.limit("Max data size") != fmt.Sprintf("%d %d", limit, limit) {
		t.Logf("limited by a cgroup: %s", r.limit("Max data size"))
	}
	wantEnd(t, h, config("allocate", "1g"), "memory", strconv.Itoa(limit))
}

func TestSandboxAddressSpace(t *testing.T) {
	h := boxed(t, host.Sandbox{Rlimits: map[host.Rlimit]uint64{host.RlimitAddressSpace: 2 << 30}}, nil)
	wantEnd(t, h, config("allocate", "3g"), "address space", "RLIMIT_AS")
}

func TestSandboxProcessorTime(t *testing.T) {
	h := boxed(t, host.Sandbox{Rlimits: map[host.Rlimit]uint64{host.RlimitCPU: 1}}, nil)
	wantEnd(t, h, config("spin", "true"), "processor time", "RLIMIT_CPU")
}

// wantEnd opens a logger, which ends the process, and asserts that the host tells
// of the limit.
func wantEnd(t *testing.T, h *host.Host, info logdriver.Info, words ...string) {
	t.Helper()
	info.ContainerName = "greedy"
	if l, err := h.Open(testContext(t), "probe", info); err == nil {
		_ = l.Close()
		t.Fatal("the logger was opened")
	}
	eventually(t, "an error that tells of the limit", func() bool {
		text := h.Stats().Drivers[0].LastError
		return !slices.ContainsFunc(append(words, "limit of", "reached"), func(w string) bool {
			return w != "limit of" && !strings.Contains(text, w)
		})
	})
	t.Log(strings.SplitN(h.Stats().Drivers[0].LastError, "\n", 2)[0])
}

func TestSandboxNeeds(t *testing.T) {
	needLandlock(t, 4)
	const needs = `{"network":true,"connectPorts":[443],"listenPorts":[0],"writePaths":["/var/lib/probe/x"],"root":true}`
	env := []string{"PROBE_NEEDS=" + needs}
	h := boxed(t, host.Sandbox{ConfineTCP: true, ConfineWrites: true, Env: env}, nil)
	_, err := h.Open(testContext(t), "probe", logdriver.Info{})
	var refused *host.NeedsError
	if !errors.As(err, &refused) || len(refused.Denied) != 4 {
		t.Fatalf("err = %v", err)
	}
	for _, want := range []string{"driver probe", "the network", "TCP port 443", "listen on TCP port 0", "/var/lib/probe/x", `Sandbox["*"].WritePaths`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q: %v", want, err)
		}
	}
	if d, err := h.Describe(testContext(t), "probe"); err != nil || d.Needs.IsZero() || d.Needs.WritePaths[0] != "/var/lib/probe/x" {
		t.Errorf("Describe: %+v, %v", d.Needs, err)
	}
	dir := t.TempDir()
	granted := host.Sandbox{
		ConfineTCP: true, ConnectPorts: []int{443}, ListenPorts: []int{0}, ConfineWrites: true, WritePaths: []string{dir},
		Env: []string{"PROBE_NEEDS=" + strings.ReplaceAll(needs, "/var/lib/probe", dir)},
	}
	probe(t, boxed(t, granted, nil), config())
}

func TestSandboxNeedsRoot(t *testing.T) {
	needRoot(t)
	if err := os.Chmod(plugins, 0o755); err != nil {
		t.Fatal(err)
	}
	h := boxed(t, host.Sandbox{User: "65534", Group: "65534", Env: []string{`PROBE_NEEDS={"root":true}`}}, nil)
	_, err := h.Open(testContext(t), "probe", logdriver.Info{})
	if err == nil || !strings.Contains(err.Error(), "to run as root") {
		t.Errorf("err = %v", err)
	}
}

func TestSandboxMistakes(t *testing.T) {
	for want, s := range map[string]host.Sandbox{
		`"threads"`:             {Rlimits: map[host.Rlimit]uint64{"threads": 1}},
		"no-such-user":          {User: "no-such-user"},
		"Group is needed":       {User: "4000000000"},
		"no-such-group":         {Group: "no-such-group"},
		"not an absolute path":  {WorkingDir: "here"},
		"without ConfineWrites": {WritePaths: []string{"/tmp"}},
		"without ConfineTCP":    {ConnectPorts: []int{1}},
		"65536 is not a port":   {ConfineTCP: true, ConnectPorts: []int{65536}},
		"MemoryLimit is 1,":     {MemoryLimit: 1},
		"the form NAME=value":   {Env: []string{"NAME"}},
	} {
		h, err := host.New(host.Config{Sandbox: map[string]host.Sandbox{"probe": s}})
		if err == nil {
			_ = h.Close(context.Background())
		}
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), `Sandbox["probe"]`) {
			t.Errorf("want %q: %v", want, err)
		}
	}
}

// TestSandboxOfACacheWithoutItsDirectory: the cache is opened once its directory can be
// made.
func TestSandboxOfACacheWithoutItsDirectory(t *testing.T) {
	needLandlock(t, 3)
	dir := filepath.Join(t.TempDir(), "caches")
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	h := newHost(t, withCache(dir, func(c *host.Config) {
		c.Sandbox = map[string]host.Sandbox{cacheDriver: {ConfineWrites: true, Required: true}}
		c.Timeouts.Start, c.Timeouts.Call = 5*time.Second, 5*time.Second
	}))
	info, file := sinkInfo(t, nil)
	l := open(t, h, "sink", info)
	for i := range 100 {
		logLine(t, l, "message %d", i)
	}
	eventually(t, "the reason", func() bool { return strings.Contains(cacheOf(t, l).Blocked, "not a directory") })
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the cache to be opened", func() bool { c := cacheOf(t, l); return c.Blocked == "" && c.Acked.Messages == 100 })
	wantMessages(t, readLines(t, cached(t, l).ReadLogs(testContext(t), everything)), 100)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	checkSink(t, file, 100, false)
}

// TestSandboxPathsMustExist: a path that is missing is a mistake, not a gap.
func TestSandboxPathsMustExist(t *testing.T) {
	needLandlock(t, 1)
	h := boxed(t, host.Sandbox{ConfineWrites: true, WritePaths: []string{"/no/such/dir"}}, nil)
	if _, err := h.Open(testContext(t), "probe", logdriver.Info{}); err == nil || !strings.Contains(err.Error(), "/no/such/dir") {
		t.Errorf("err = %v", err)
	}
}
