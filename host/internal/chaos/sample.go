//go:build linux

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"

	"github.com/logplug/logplug/host"
)

// takeSample says what this process uses.
func takeSample(st host.Stats) (*sample, error) {
	s := &sample{Goroutines: runtime.NumGoroutine()}
	for _, d := range st.Drivers {
		s.Restarts += d.Restarts
		for _, l := range d.Loggers {
			s.Accepted += l.Accepted.Messages
		}
	}
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil, err
	}
	s.Files = len(files)
	s.AnonKiB, err = anonymousMemory()
	return s, err
}

// anonymousMemory leaves out the mapped spool, which is the page cache's.
func anonymousMemory() (kib int64, err error) {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		if _, err := fmt.Sscanf(lines.Text(), "RssAnon: %d kB", &kib); err == nil {
			return kib, nil
		}
	}
	return 0, errors.New("/proc/self/status has no RssAnon")
}

// What a host may use more in the last third of a run than in the middle one:
// a part of what it used then, and a floor for small numbers.
const (
	growthPart     = 4
	growthKiB      = 24 << 10
	growthOthers   = 40
	samplesForFlat = 240 // a minute: fewer say nothing
)

// growth returns what grew over the samples of one process. The first third is
// for warming up.
func growth(samples []sample) (problems []string) {
	if len(samples) < samplesForFlat {
		return nil
	}
	third := len(samples) / 3
	middle, last := samples[third:2*third], samples[2*third:]
	for _, m := range []struct {
		what  string
		floor int64
		of    func(sample) int64
	}{
		{"KiB of memory", growthKiB, func(s sample) int64 { return s.AnonKiB }},
		{"goroutines", growthOthers, func(s sample) int64 { return int64(s.Goroutines) }},
		{"open files", growthOthers, func(s sample) int64 { return int64(s.Files) }},
	} {
		before, after := median(middle, m.of), median(last, m.of)
		if after > before+before/growthPart+m.floor {
			problems = append(problems, fmt.Sprintf("the host that lives on grew from %d to %d %s", before, after, m.what))
		}
	}
	return problems
}

func median(samples []sample, of func(sample) int64) int64 {
	values := make([]int64, len(samples))
	for i, s := range samples {
		values[i] = of(s)
	}
	slices.Sort(values)
	return values[len(values)/2]
}
