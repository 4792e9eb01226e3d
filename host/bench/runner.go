package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// drivers lists the drivers that the benchmark uses, and their packages within
// the main module.
var drivers = map[string]string{
	"discard":  "./sdk/testdrivers/discard",
	"latency":  "./sdk/testdrivers/latency",
	"jsonfile": "./drivers/jsonfile",
	"local":    "./drivers/local",
	"syslog":   "./drivers/syslog",
	"nats":     "./drivers/nats",
	"journald": "./drivers/journald",
}

// runner starts a fresh process for each measurement, so that none inherits
// another's heap.
type runner struct {
	flags   *flags
	scratch string
	drivers string
	cleanup bool
}

func newRunner(f *flags) (*runner, error) {
	r := &runner{flags: f, scratch: f.scratch, drivers: f.drivers}
	if r.scratch == "" {
		dir, err := os.MkdirTemp("", "logplug-bench-")
		if err != nil {
			return nil, err
		}
		r.scratch, r.cleanup = dir, true
	}
	if r.drivers == "" {
		r.drivers = filepath.Join(r.scratch, "drivers")
		if err := build(r.drivers); err != nil {
			r.close()
			return nil, err
		}
	}
	return r, nil
}

func (r *runner) close() {
	if r.cleanup {
		os.RemoveAll(r.scratch)
	}
}

// logplugPath returns where logplug is: beside the directory of the drivers.
func logplugPath(drivers string) string { return filepath.Join(filepath.Dir(drivers), "logplug") }

// build builds the drivers and logplug with the main module's own dependencies.
func build(dir string) error {
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/logplug/logplug").Output()
	if err != nil {
		return fmt.Errorf("finding the main module: %w; run this in its folder host/bench, or give -drivers", err)
	}
	programs := map[string]string{logplugPath(dir): "./host/cmd/logplug"}
	for name, pkg := range drivers {
		programs[filepath.Join(dir, "logplug-driver-"+name)] = pkg
	}
	for path, pkg := range programs {
		cmd := exec.Command("go", "build", "-trimpath", "-o", path, pkg)
		cmd.Dir = strings.TrimSpace(string(root))
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("building %s: %w\n%s", pkg, err, out)
		}
	}
	return nil
}

// job is what a worker process is told, as JSON.
type job struct {
	Scenario  string
	Contender string
	Drivers   string
	Scratch   string  // for this measurement alone
	Fixtures  string  // shared by all of the run
	Scale     float64 // of numbers of messages
	Quick     bool    // smaller logs to read, too
	Profile   string  // file for a CPU profile, or empty
}

// fewest is how many messages a measurement has at least, however it is scaled.
const fewest = 1000

// count scales a number of messages.
func (j *job) count(n int) int { return max(int(float64(n)*j.Scale), min(n, fewest)) }

// sample holds what one measurement found, by metric.
type sample map[string]float64

// measured holds all samples of a scenario by contender.
type measured struct {
	samples map[string][]sample
	errs    map[string]error
}

// median returns the median of a metric, and whether there is one.
func (m *measured) median(contender, metric string) (float64, bool) {
	var values []float64
	for _, s := range m.samples[contender] {
		if v, ok := s[metric]; ok {
			values = append(values, v)
		}
	}
	if len(values) == 0 {
		return 0, false
	}
	return median(values), true
}

func median[T int64 | float64](values []T) T { return percentile(values, 50) }

// percentile returns the value below which p percent of values lie. It sorts.
func percentile[T int64 | float64](values []T, p int) T {
	slices.Sort(values)
	return values[min(len(values)*p/100, len(values)-1)]
}

// measure runs the contenders in turns.
func (r *runner) measure(ctx context.Context, s *scenario, rounds int) *measured {
	m := &measured{samples: make(map[string][]sample), errs: make(map[string]error)}
	if s.maxRounds > 0 {
		rounds = min(rounds, s.maxRounds)
	}
	rounds *= max(1, s.turns)
	for round := range rounds {
		for i := range s.contenders {
			// Each round begins with another contender.
			c := s.contenders[(i+round)%len(s.contenders)]
			if m.errs[c.name] != nil || ctx.Err() != nil {
				continue
			}
			fmt.Fprintf(os.Stderr, "%s, round %d of %d: %s\n", s.name, round+1, rounds, c.name)
			got, err := r.once(ctx, s, c, round)
			if err != nil {
				fmt.Fprintf(os.Stderr, "%s: %s: %v\n", s.name, c.name, err)
				m.errs[c.name] = err
				continue
			}
			m.samples[c.name] = append(m.samples[c.name], got)
		}
	}
	return m
}

// once runs one measurement in a process of its own.
func (r *runner) once(ctx context.Context, s *scenario, c contender, round int) (_ sample, err error) {
	scratch, err := os.MkdirTemp(r.scratch, "m")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	j := job{
		Scenario: s.name, Contender: c.name, Drivers: r.drivers, Scratch: scratch,
		Fixtures: filepath.Join(r.scratch, "fixtures"), Scale: r.flags.scale, Quick: r.flags.quick,
	}
	if dir := r.flags.profiles; dir != "" {
		name := fmt.Sprintf("%s-%s-%d.pprof", s.name, c.name, round+1)
		j.Profile = filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
	}
	text, err := json.Marshal(&j)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if s.files {
		if err := touchPages(scratch, int(fileBytes*r.flags.scale)); err != nil {
			return nil, err
		}
	}
	cmd := exec.CommandContext(ctx, self, roleWorker, string(text))
	var out, printed bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, io.MultiWriter(os.Stderr, &printed)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	if err := cmd.Run(); err != nil {
		return nil, reason(err, printed.String())
	}
	var got sample
	return got, json.Unmarshal(out.Bytes(), &got)
}

// reason returns why a worker failed: what it has printed at its end, one line for the table.
func reason(err error, printed string) error {
	_, why, found := strings.Cut(printed, complaint)
	if line, _, _ := strings.Cut(why, "\n"); found && line != "" {
		return errors.New(line)
	}
	return err
}
