//go:build linux

package main

import (
	"fmt"
	"sync"
	"time"
)

// figures count what the storm did, and what the oracle found.
type figures struct {
	mu       sync.Mutex
	counts   map[figure]uint64
	problems []string
	began    time.Time
}

// figure names a count.
type figure string

// What is counted.
const (
	driverKills  figure = "driver kills"
	driverTerms  figure = "driver terms"
	driverStops  figure = "driver stops"
	upgrades     figure = "upgrades"
	fullDisks    figure = "full disks"
	sinkFailures figure = "sink failures"
	hostKills    figure = "host kills"
	hostStops    figure = "host stops"
	hostQuits    figure = "host quits"
	flippedBits  figure = "flipped bits"
	starts       figure = "driver restarts"
	messages     figure = "messages accepted"
	linesRead    figure = "lines read"
	missing      figure = "missing"
	damagedLines figure = "damaged"
	droppedLines figure = "dropped"
	setAside     figure = "set aside"
	duplicates   figure = "duplicates (sink)"
	unsure       figure = "accepted while killed"
	refusals     figure = "refused"
	rounds       figure = "rounds"
	slowestProbe figure = "slowest probe ms"
)

// order is how the figures are printed.
var order = [...]figure{
	rounds, messages, linesRead, driverKills, driverTerms, driverStops, hostKills, hostStops, hostQuits, upgrades, fullDisks,
	sinkFailures, flippedBits, starts, missing, damagedLines, droppedLines, setAside, duplicates, unsure, refusals, slowestProbe,
}

func newFigures() *figures { return &figures{counts: make(map[figure]uint64), began: time.Now()} }

func (f *figures) add(what figure, n uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counts[what] += n
}

// raise makes a figure at least n.
func (f *figures) raise(what figure, n uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counts[what] = max(f.counts[what], n)
}

func (f *figures) get(what figure) uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.counts[what]
}

func (f *figures) fail(problems ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.problems = append(f.problems, problems...)
}

func (f *figures) failed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.problems) > 0
}

// String is a table.
func (f *figures) String() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	text := ""
	for _, what := range order {
		text += fmt.Sprintf("  %-24s %d\n", what, f.counts[what])
	}
	return text + fmt.Sprintf("  %-24s %.0f\n", "seconds", time.Since(f.began).Seconds())
}
