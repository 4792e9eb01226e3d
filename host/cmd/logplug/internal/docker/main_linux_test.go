package docker_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/host/cmd/logplug/internal/docker"
	"github.com/logplug/logplug/host/internal/engine"
)

// patience bounds each wait.
const patience = time.Minute

// buildPatience bounds each build, on a machine that has others to do.
const buildPatience = 5 * time.Minute

// image is the image of the tests' containers, which run puppet.
const image = "puppet"

// binaries are the programs of the tests: logplug, its drivers, and puppet.
type binaries struct{ dir string }

func (b *binaries) logplug() string { return filepath.Join(b.dir, "logplug") }
func (b *binaries) drivers() string { return filepath.Join(b.dir, "drivers") }

// buildDir is where they are, made and removed by TestMain.
var buildDir string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "docker-test")
	if err != nil {
		panic(err)
	}
	buildDir = dir
	flag.Parse()
	if n := flag.Lookup("test.parallel"); n.Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) {
		// Most tests mostly wait.
		err = n.Value.Set(strconv.Itoa(max(3, runtime.GOMAXPROCS(0))))
	}
	if err != nil {
		panic(err)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// build builds them, when the first test needs them.
var build = sync.OnceValues(func() (*binaries, error) {
	b := &binaries{buildDir}
	for path, pkg := range map[string]string{
		b.logplug():                              "host/cmd/logplug",
		b.drivers() + "/logplug-driver-jsonfile": "drivers/jsonfile",
		b.drivers() + "/logplug-driver-local":    "drivers/local",
		b.drivers() + "/logplug-driver-nats":     "drivers/nats",
		b.drivers() + "/logplug-driver-moody":    "host/cmd/logplug/internal/docker/testdata/moody",
		b.drivers() + "/logplug-driver-sink":     "sdk/testdrivers/sink",
	} {
		out, err := combined("go", "build", "-o", path, "github.com/logplug/logplug/"+pkg)
		if err != nil {
			return b, fmt.Errorf("build %s: %w\n%s", pkg, err, out)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), buildPatience)
	defer cancel()
	_, err := engine.Puppet(ctx, b.dir)
	return b, err
})

// combined runs a command, and returns what it printed.
func combined(name string, args ...string) ([]byte, error) {
	return engine.Command(context.Background(), buildPatience, name, args...).CombinedOutput()
}

// programs returns them. With -short, which goes with the race detector, it skips the test:
// they are built without that.
func programs(t testing.TB) *binaries {
	t.Helper()
	if testing.Short() {
		t.Skip("skipped with -short: it runs programs only")
	}
	b, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// rig is a daemon and the plugins that it uses.
type rig struct {
	*engine.Dockerd
	t     testing.TB
	bin   *binaries
	state string

	*served
}

// served is the process of the plugins.
type served struct {
	cmd    *exec.Cmd
	exited chan struct{}
	out    output
}

// newRig starts both, the plugins after prepare.
func newRig(t testing.TB, prepare ...func(r *rig)) *rig {
	t.Helper()
	bin := programs(t) // first: builds slow the start of a daemon down, of which it gives up
	d := engine.StartDockerd(t)
	r := &rig{Dockerd: d, t: t, bin: bin, state: filepath.Join(t.TempDir(), "state"), served: &served{}}
	d.Import(image, filepath.Join(r.bin.dir, "puppet"))
	for _, f := range prepare {
		f(r)
	}
	t.Cleanup(func() {
		r.RemoveAll() // while somebody listens to the daemon
		if r.cmd != nil {
			r.end(r.cmd, r.exited, syscall.SIGTERM)
		}
		if t.Failed() {
			t.Logf("logplug docker serve printed:\n%s", r.out.tail())
		}
	})
	r.start()
	return r
}

// on returns r for a subtest.
func (r *rig) on(t testing.TB) *rig {
	sub := *r
	sub.Dockerd, sub.t = r.Dockerd.On(t), t
	return &sub
}

// start starts the plugins, and waits until they are served.
func (r *rig) start() {
	r.t.Helper()
	cmd := r.Inside(r.bin.logplug(), "docker", "serve", "--state-dir", r.state, "--plugin-dir", r.bin.drivers(),
		"--docker-root", filepath.Join(r.Dir, "data"))
	stderr, err := cmd.StderrPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	ready := make(chan struct{})
	exited := make(chan struct{})
	r.cmd, r.exited = cmd, exited
	go func() {
		defer close(exited)
		lines := bufio.NewReader(stderr) // however long they are: nobody waits for it to be read
		for {
			line, err := lines.ReadString('\n')
			if err != nil && line == "" {
				break
			}
			r.out.add(strings.TrimSuffix(line, "\n"))
			if strings.Contains(line, "DATA RACE") { // of a binary built with the race detector
				r.t.Error("logplug docker serve reports a data race")
			}
			if strings.HasPrefix(line, "logplug: ready") {
				close(ready)
			}
		}
		_ = cmd.Wait()
	}()
	select {
	case <-ready:
	case <-exited:
		r.t.Fatalf("logplug docker serve ended:\n%s", r.out.tail())
	case <-time.After(patience):
		r.t.Fatal("logplug docker serve is not ready")
	}
}

// end ends a process, if it runs, and waits for that.
func (r *rig) end(cmd *exec.Cmd, exited chan struct{}, s syscall.Signal) {
	_ = cmd.Process.Signal(s)
	select {
	case <-exited:
	case <-time.After(patience):
		_ = cmd.Process.Kill()
		r.t.Error("logplug docker serve does not end")
	}
}

// kill kills the plugins and starts them again.
func (r *rig) kill() {
	r.end(r.cmd, r.exited, syscall.SIGKILL)
	r.start()
}

// stats asks for the statistics.
func (r *rig) stats() (st docker.Stats) {
	r.t.Helper()
	c := http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", r.Path("/run/docker/plugins/logplug.sock"))
		},
	}}
	resp, err := c.Get("http://plugin/stats")
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&st); err != nil {
		r.t.Fatal(err)
	}
	return st
}

// process waits until a driver has a process, and returns it.
func (r *rig) process(driver string) (pid int) {
	r.t.Helper()
	r.await("the driver "+driver+" runs", func() bool {
		pid = r.pid(driver)
		return pid > 0
	})
	return pid
}

// pid returns the process of a driver, 0 if it has none at present.
func (r *rig) pid(driver string) int {
	for _, d := range r.stats().Host.Drivers {
		if d.Driver == driver {
			return d.Pid
		}
	}
	return 0
}

// create makes a container with the plugin and options, which runs puppet.
func (r *rig) create(name, plugin string, options []string, args ...string) {
	r.t.Helper()
	call := []string{"create", "--network=none", "--name", name, "--log-driver", plugin}
	for _, o := range options {
		call = append(call, "--log-opt", o)
	}
	r.Run(append(append(call, image), args...)...)
}

// run runs a container to its end, and waits until its output is with the sink.
func (r *rig) run(name, plugin string, options []string, args ...string) {
	r.t.Helper()
	r.create(name, plugin, options, args...)
	r.Run("start", name)
	r.Run("wait", name)
	r.awaitDelivery(name)
}

// awaitDelivery waits until what a container that has ended wrote is with the sink.
func (r *rig) awaitDelivery(name string) {
	r.t.Helper()
	id := r.Run("inspect", "--format", "{{.Id}}", name)
	r.await("the output of "+name+" is delivered", func() bool {
		st := r.stats()
		for _, d := range st.Host.Drivers {
			if slices.ContainsFunc(d.Loggers, func(l host.LoggerStats) bool { return l.Logger == name }) {
				return false
			}
		}
		return !slices.ContainsFunc(st.Streams, func(s docker.StreamStats) bool { return s.Container == id })
	})
}

// idle tells whether everything is with the sinks: no logger is open.
func (r *rig) idle() bool {
	st := r.stats()
	loggers := 0
	for _, d := range st.Host.Drivers {
		loggers += len(d.Loggers)
	}
	return len(st.Streams) == 0 && loggers == 0
}

// logs returns what docker logs prints on stdout and stderr.
func (r *rig) logs(args ...string) (stdout, stderr string) {
	r.t.Helper()
	cmd := r.Docker(append([]string{"logs"}, args...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		r.t.Fatalf("docker logs %v: %v\n%s", args, err, errs.String())
	}
	return out.String(), errs.String()
}

// await waits until ok returns true.
func (r *rig) await(what string, ok func() bool) {
	r.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			r.t.Fatalf("it does not happen: %s", what)
		}
	}
}

// output keeps the last lines that are added.
type output struct {
	mu    sync.Mutex
	lines []string
}

func (o *output) add(line string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.lines = append(o.lines, line); len(o.lines) > 400 {
		o.lines = o.lines[100:]
	}
}

func (o *output) tail() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.Join(o.lines, "\n")
}

func (o *output) has(text string) bool { return strings.Contains(o.tail(), text) }

// exitText returns what a failed command printed on stderr.
func exitText(err error) string {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return string(exit.Stderr)
	}
	return ""
}
