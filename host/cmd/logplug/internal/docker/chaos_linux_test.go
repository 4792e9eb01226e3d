package docker_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Containers write at full speed while the plugins and the drivers are killed again and
// again: every log is complete and in order.
func TestKilled(t *testing.T) {
	t.Parallel()
	containers, kills, most := 100, 50, 5000
	if testing.Short() {
		containers, kills, most = 10, 10, 10000
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, seed))
	r := newRig(t)
	drivers := []string{"jsonfile", "local"}
	names := make([]string, containers)
	for i := range names {
		names[i] = fmt.Sprintf("flood-%d", i)
	}
	began := time.Now()
	each(names, func(i int, name string) {
		r.create(name, "logplug-"+drivers[i%len(drivers)], []string{"max-size=1g", "max-file=1", "compress=false"}, fmt.Sprintf("flood:100:%d", most))
		r.Run("start", name)
	})
	t.Logf("%d containers started in %s", containers, time.Since(began).Round(time.Millisecond))
	signal := func(name string) { r.Run(append([]string{"kill", "--signal", name}, names...)...) }
	signal("USR1")
	r.killAtRandom(kills/2, random, drivers)
	signal("USR1") // for those that were not ready for the first one
	r.killAtRandom(kills-kills/2, random, drivers)
	signal("TERM")
	r.Run(append([]string{"wait"}, names...)...)
	t.Logf("ended after %s", time.Since(began).Round(time.Millisecond))
	var mu sync.Mutex
	lines := 0
	each(names, func(_ int, name string) {
		n := r.checkFlood(name)
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

// each calls f for all names, a few at a time.
func each(names []string, f func(i int, name string)) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, 4)
	for i, name := range names {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			f(i, name)
		})
	}
	wg.Wait()
}

// killAtRandom kills the plugins, or one of the drivers, and starts the plugins again.
func (r *rig) killAtRandom(kills int, random *rand.Rand, drivers []string) {
	for range kills {
		pause(time.Duration(random.IntN(300)) * time.Millisecond)
		victim := random.IntN(len(drivers) + 1)
		if victim == len(drivers) {
			r.kill()
			continue
		}
		if pid := r.pid(drivers[victim]); pid > 0 {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may just have ended
		}
	}
}

// pause lets the others work.
func pause(d time.Duration) { <-time.After(d) }

// checkFlood looks for every line of a flood, and returns their number.
func (r *rig) checkFlood(name string) (lines int) {
	cmd := r.Docker("logs", name)
	out, err := cmd.StdoutPipe()
	if err != nil {
		r.t.Error(err)
		return 0
	}
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
	if want := fmt.Sprintf("total %d", lines); wrong > 0 || total != want {
		r.t.Errorf("%s: %d lines are wrong; it ends with %q, want %q", name, wrong, total, want)
	}
	return lines
}
