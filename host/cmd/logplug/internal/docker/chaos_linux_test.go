package docker_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// burst is how many lines a container writes at a time.
const burst = 100

// Containers write at full speed while the plugins and the drivers are killed again and
// again: every log is complete and in order.
func TestKilled(t *testing.T) {
	t.Parallel()
	const containers, kills = 100, 50
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, seed))
	r := newRig(t)
	files := []string{"max-size=1g", "max-file=1", "compress=false"}
	options := map[string][]string{"jsonfile": files, "local": files, "nats": {"nats-url=" + startNATS(t)}}
	drivers := []string{"jsonfile", "local", "nats"}
	names := make([]string, containers)
	for i := range names {
		names[i] = fmt.Sprintf("burst-%d", i)
	}
	began := time.Now()
	each(t, names, func(i int, name string) {
		d := drivers[i%len(drivers)]
		r.create(name, "logplug-"+d, options[d], fmt.Sprintf("bursts:100:%d", burst))
		r.Run("start", name)
	})
	t.Logf("%d containers started in %s", containers, time.Since(began).Round(time.Millisecond))
	pids := r.pids(names)
	for range kills {
		r.killAtRandom(random, drivers, func() { signalAll(t, pids, syscall.SIGUSR1) })
	}
	t.Logf("killed after %s", time.Since(began).Round(time.Millisecond))
	signalAll(t, pids, syscall.SIGTERM)
	r.Run(append([]string{"wait"}, names...)...)
	// docker logs does not wait for long for a logger that is being opened again, or for
	// a sink that is slow.
	r.await("everything is delivered", r.idle)
	var mu sync.Mutex
	lines := 0
	each(t, names, func(_ int, name string) {
		n := r.checkBursts(name)
		mu.Lock()
		defer mu.Unlock()
		lines += n
	})
	if d := r.stats().Damage; d.Frames > 0 {
		t.Errorf("%d frames were damaged", d.Frames)
	}
	t.Logf("%d lines were read after %s", lines, time.Since(began).Round(time.Millisecond))
	r.RemoveAll()
	t.Logf("removed after %s", time.Since(began).Round(time.Millisecond))
}

// pids returns the processes of containers.
func (r *rig) pids(names []string) (pids []int) {
	r.t.Helper()
	for _, text := range strings.Fields(r.Run(append([]string{"inspect", "--format", "{{.State.Pid}}"}, names...)...)) {
		pid, err := strconv.Atoi(text)
		if err != nil || pid <= 0 {
			r.t.Fatalf("%q is no process", text)
		}
		pids = append(pids, pid)
	}
	return pids
}

// signalAll is docker kill --signal for many at once.
func signalAll(t *testing.T, pids []int, s syscall.Signal) {
	t.Helper()
	for _, pid := range pids {
		if err := syscall.Kill(pid, s); err != nil {
			t.Fatalf("a container has ended: %v", err)
		}
	}
}

// each calls f for all names, a few at a time. It ends the test when one has failed: a daemon
// that hangs does so for all.
func each(t *testing.T, names []string, f func(i int, name string)) {
	t.Helper()
	var wg sync.WaitGroup
	slots := make(chan struct{}, 4)
	for i, name := range names {
		slots <- struct{}{}
		if t.Failed() {
			break
		}
		wg.Go(func() {
			defer func() { <-slots }()
			f(i, name)
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// killAtRandom makes containers write, waits until some of it is with a sink, and kills
// the plugins, which it starts again, or one of the drivers.
func (r *rig) killAtRandom(random *rand.Rand, drivers []string, write func()) {
	r.t.Helper()
	before := r.acked()
	r.await("output is delivered", func() bool {
		write() // also to those that have only just begun to listen
		return r.acked() > before
	})
	pause(time.Duration(random.IntN(200)) * time.Millisecond)
	victim := random.IntN(len(drivers) + 1)
	if victim == len(drivers) {
		r.kill()
		return
	}
	r.await("a driver is killed", func() bool { // it may just have been killed before
		pid := r.pid(drivers[victim])
		return pid > 0 && syscall.Kill(pid, syscall.SIGKILL) == nil
	})
}

// acked returns how many messages drivers have acknowledged to the plugins.
func (r *rig) acked() (n uint64) {
	for _, d := range r.stats().Host.Drivers {
		n += d.Totals.Acked.Messages
	}
	return n
}

// pause lets the others work.
func pause(d time.Duration) { <-time.After(d) }

// checkBursts looks for every line that a container has written, and returns their number.
func (r *rig) checkBursts(name string) (lines int) {
	cmd := r.Docker("logs", name)
	out, err := cmd.StdoutPipe()
	if err != nil {
		r.t.Error(err)
		return 0
	}
	var errs strings.Builder // the daemon's too, for which docker logs does not fail
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		r.t.Error(err)
		return 0
	}
	wrong, total := 0, ""
	scanner := bufio.NewScanner(out)
	for scanner.Scan() {
		line := scanner.Text()
		if strings.HasPrefix(line, "total ") {
			total = line
			continue
		}
		lines++
		var n int
		if _, err := fmt.Sscanf(line, "%d ", &n); err != nil || n != lines || len(line) != 100 {
			if wrong++; wrong == 1 {
				r.t.Errorf("%s: line %d is %q", name, lines, line)
			}
			lines = n
		}
	}
	if err := cmd.Wait(); err != nil {
		r.t.Errorf("%s: docker logs: %v", name, err)
	}
	if want := fmt.Sprintf("total %d", lines); wrong > 0 || total != want || lines < burst || lines%burst > 0 {
		r.t.Errorf("%s: %d lines are wrong; it ends with %q, want %q; stderr: %.300q", name, wrong, total, want, errs.String())
	}
	return lines
}
