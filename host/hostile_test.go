package host_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/shared/logdriver"
)

// The bounds that hold whatever a driver does.
const (
	hostileHeap    = 96 << 20 // growth of the host's heap, neighbour and all
	hostileLog     = 2 << 20  // what one driver makes the host log, and in each second besides
	hostileLogRate = 256 << 10
	hostileError   = 32 << 10 // the text of one error
	// hostileSlack is what a call may take above its deadline on a busy machine.
	hostileSlack = 15 * time.Second
	// flushTime bounds a Flush that a hostile driver never lets end.
	flushTime = 200 * time.Millisecond
	// startTime is Timeouts.Start of drivers that never start, and connectTime of those
	// that do, but cannot be spoken to.
	startTime   = 1200 * time.Millisecond
	connectTime = 6 * time.Second
)

// hostileTimeouts are longer than an honest driver ever takes here, and short where
// the case waits for them.
func hostileTimeouts(c hostileCase) host.Timeouts {
	t := host.Timeouts{
		Start: 10 * time.Second, Call: 2 * time.Second, Log: 100 * time.Millisecond, Close: 300 * time.Millisecond,
		Stop: 200 * time.Millisecond, Health: 30 * time.Second, Progress: time.Minute,
	}
	if c.start > 0 {
		t.Start = c.start
	}
	if c.stalls {
		t.Health, t.Progress = 4*time.Second, 10*time.Second
	}
	return t
}

// TestHostileDrivers runs every hostile driver beside an honest one in a host.
func TestHostileDrivers(t *testing.T) {
	dir, names := hostileDrivers(t)
	for _, c := range hostileCases {
		i := slices.Index(names, c.name)
		if i < 0 {
			t.Errorf("there is no behaviour %q", c.name)
			continue
		}
		names = slices.Delete(names, i, i+1)
		if c.heavy && !c.elsewhere() {
			t.Run(c.name, func(t *testing.T) { runHostile(t, dir, c) })
		}
	}
	if len(names) > 0 {
		t.Errorf("behaviours without a case: %v", names)
	}
	t.Run("light", func(t *testing.T) {
		for _, c := range hostileCases {
			if !c.heavy && !c.elsewhere() {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					runHostile(t, dir, c)
				})
			}
		}
	})
}

// hostileDrivers builds the program and links it under the name of every
// behaviour that it has.
func hostileDrivers(t *testing.T) (dir string, names []string) {
	t.Helper()
	dir = t.TempDir()
	program := filepath.Join(dir, "logplug-driver-hostile-list")
	if out, err := exec.Command("go", "build", "-o", program, "../sdk/testdrivers/hostile").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := exec.Command(program).Output()
	if err != nil {
		t.Fatal(err)
	}
	names = strings.Fields(string(out))
	for _, n := range names {
		if err := os.Link(program, filepath.Join(dir, "logplug-driver-hostile-"+n)); err != nil {
			t.Fatal(err)
		}
	}
	return dir, names
}

// hostileRun is one case under way.
type hostileRun struct {
	hostileCase
	host   *host.Host
	driver string
	log    *hostileLogs
	began  time.Time
	limits host.Timeouts
	info   logdriver.Info
	logger host.Logger
}

const hostileSecret = "hunter2secret"

func runHostile(t *testing.T, dir string, c hostileCase) {
	sockets, err := os.MkdirTemp("", "lp") // socket paths are short
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(sockets)
	heap := watchHeap()
	defer heap.stop()
	r := &hostileRun{
		hostileCase: c, driver: "hostile-" + c.name, log: &hostileLogs{}, began: time.Now(), limits: hostileTimeouts(c),
		info: logdriver.Info{ContainerName: "victim", Config: map[string]string{
			"token": hostileSecret, "state": filepath.Join(t.TempDir(), "state"),
		}},
	}
	r.host, err = host.New(host.Config{
		PluginDirs: []string{plugins, dir}, SocketParent: sockets, Timeouts: r.limits,
		Spool:  host.SpoolConfig{LoggerBytes: host.MinSpoolBytes},
		Logger: hclog.New(&hclog.LoggerOptions{Output: r.log, Level: hclog.Debug}),
	})
	if err != nil {
		t.Fatal(err)
	}
	closed := false
	defer func() {
		if !closed { // the test has failed
			_ = r.host.Close(testContext(t))
		}
		if t.Failed() {
			t.Logf("the host's log ends with:\n%s", r.log.tail())
		}
	}()
	n := startNeighbour(t, r.host)
	r.run(t)
	n.stop(t)
	checkStats(t, r.host.Stats())
	r.checkDriverStats(t)

	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	limit := time.Second + r.limits.Stop + 2*time.Second
	closed = r.within(t, limit, "Host.Close", func() error { _ = r.host.Close(ctx); return nil }, anything)
	heap.check(t)
	r.checkLog(t)
	checkLeftOvers(t, dir, sockets)
}

// run uses the driver as an application does.
func (r *hostileRun) run(t *testing.T) {
	ctx := testContext(t)
	start := r.limits.Start + r.limits.Call
	opened := r.within(t, start, "Open", func() (err error) {
		r.logger, err = r.host.Open(ctx, r.driver, r.info)
		return err
	}, r.open)
	if !opened {
		if r.check != nil {
			r.check(t, r)
		}
		r.awaitReason(t)
		return
	}
	for i := range 100 {
		r.within(t, r.limits.Log, "Log", func() error { return r.logger.Log(message("line %d %s", i, strings.Repeat("x", 2000))) }, r.hostileCase.log)
	}
	if r.check != nil {
		r.check(t, r)
	}
	r.within(t, time.Second+r.limits.Call, "Flush", func() error {
		if r.flush == "" {
			return r.logger.Flush(ctx)
		}
		ctx, cancel := context.WithTimeout(ctx, flushTime)
		defer cancel()
		return r.logger.Flush(ctx)
	}, r.flush)
	r.within(t, 2*r.limits.Call+briefly, "ReadLogs", func() error { return r.readAll(ctx) }, r.read)
	r.within(t, start, "Describe", func() error { _, err := r.host.Describe(ctx, r.driver); return err }, r.describe)
	r.awaitReason(t)
	// Closing gets some time of its own when waiting has used it all up.
	r.within(t, r.limits.Close+2*time.Second, "Close", func() error { return r.logger.Close() }, r.hostileCase.close)
}

// readAll reads the log to its end, or until briefly is over where there is none.
func (r *hostileRun) readAll(ctx context.Context) error {
	reader, ok := r.logger.(logdriver.LogReader)
	if !ok {
		return errors.New("the logger is no reader")
	}
	if r.read == "deadline" || r.read == anything {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, briefly)
		defer cancel()
	}
	for m, err := range reader.ReadLogs(ctx, logdriver.ReadConfig{Tail: -1}).All() {
		if err != nil {
			return err
		}
		logdriver.PutMessage(m)
	}
	return nil
}

// within runs f and checks that it returns in time and ends as expected. It
// tells whether f succeeded.
func (r *hostileRun) within(t *testing.T, limit time.Duration, what string, f func() error, want string) (succeeded bool) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- f() }()
	timer := time.NewTimer(limit + hostileSlack)
	defer timer.Stop()
	select {
	case err := <-done:
		checkOutcome(t, what, err, want)
		return err == nil
	case <-timer.C:
		stacks := make([]byte, 1<<20)
		t.Fatalf("%s has not returned within %v\n%s", what, limit+hostileSlack, stacks[:runtime.Stack(stacks, true)])
		return false
	}
}

func checkOutcome(t *testing.T, what string, err error, want string) {
	t.Helper()
	switch {
	case err == nil && (want == "" || want == anything):
		return
	case err == nil:
		t.Errorf("%s succeeded, expected an error with %q", what, want)
		return
	case want == "":
		t.Errorf("%s: %v", what, shorten(err.Error()))
	case want != anything && !strings.Contains(err.Error(), want):
		t.Errorf("%s: %v, expected an error with %q", what, shorten(err.Error()), want)
	}
	if n := len(err.Error()); n > hostileError {
		t.Errorf("%s: an error of %d bytes", what, n)
	}
	if strings.Contains(err.Error(), hostileSecret) {
		t.Errorf("%s: the error shows the secret: %v", what, shorten(err.Error()))
	}
}

func shorten(s string) string {
	if len(s) > 1000 {
		return s[:1000] + "..."
	}
	return s
}

func (r *hostileRun) stats() host.DriverStats {
	for _, d := range r.host.Stats().Drivers {
		if d.Driver == r.driver {
			return d
		}
	}
	return host.DriverStats{}
}

func (r *hostileRun) awaitReason(t *testing.T) {
	t.Helper()
	if r.reason != "" {
		eventually(t, fmt.Sprintf("%q in the host's log", r.reason), func() bool { return r.log.contains(r.reason) })
	}
}

func (r *hostileRun) checkDriverStats(t *testing.T) {
	t.Helper()
	st := r.stats()
	if text := fmt.Sprint(st); len(text) > hostileError || strings.Contains(text, hostileSecret) {
		t.Errorf("statistics of %d bytes, or with the secret: %s", len(text), shorten(text))
	}
}

func (r *hostileRun) checkLog(t *testing.T) {
	t.Helper()
	limit := hostileLog + int(time.Since(r.began).Seconds()*hostileLogRate)
	if n := r.log.size(); n > limit {
		t.Errorf("the host has logged %d bytes, more than %d", n, limit)
	}
	if r.log.contains(hostileSecret) {
		t.Error("the host's log shows the secret")
	}
}

// neighbour logs to an honest driver in the same host all the while.
type neighbour struct {
	host   *host.Host
	logger host.Logger
	file   string
	quit   chan struct{}
	ended  chan struct{}
	logged int
	err    error
}

func startNeighbour(t *testing.T, h *host.Host) *neighbour {
	t.Helper()
	info, file := sinkInfo(t, nil)
	n := &neighbour{host: h, file: file, logger: openPatiently(t, h, info), quit: make(chan struct{}), ended: make(chan struct{})}
	go n.run()
	return n
}

// openPatiently opens a logger of the sink where Timeouts.Start and Call may be too
// short for a busy machine.
func openPatiently(t *testing.T, h *host.Host, info logdriver.Info) (l host.Logger) {
	t.Helper()
	var err error
	defer func() {
		if err != nil {
			t.Logf("opening the neighbour: %v", err)
		}
	}()
	eventually(t, "the neighbour", func() bool {
		l, err = h.Open(testContext(t), "sink", info)
		return err == nil
	})
	return l
}

func (n *neighbour) run() {
	defer close(n.ended)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for n.err == nil {
		if n.err = n.logger.Log(message("message %d", n.logged)); n.err == nil {
			n.logged++
		}
		select {
		case <-tick.C:
		case <-n.quit:
			return
		}
	}
}

func (n *neighbour) stop(t *testing.T) {
	t.Helper()
	close(n.quit)
	<-n.ended
	if n.err != nil {
		t.Errorf("the neighbour's Log: %v", n.err)
	}
	if err := n.logger.Shutdown(testContext(t)); err != nil {
		t.Errorf("the neighbour's Shutdown: %v", err)
	}
	checkSink(t, n.file, n.logged, false)
	for _, d := range n.host.Stats().Drivers {
		if d.Driver == "sink" && d.Restarts > 0 {
			t.Errorf("the neighbour's driver was replaced: %s", d.LastError)
		}
	}
}
