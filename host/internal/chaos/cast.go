//go:build linux

package main

import (
	"fmt"
	"path/filepath"
	"strconv"

	"github.com/logplug/logplug/shared/logdriver"
)

// role is one logger of a round.
type role struct {
	name   string
	driver string
	fast   bool // its writers log bursts at full speed, else single lines at a trickle
	exact  bool // its driver remembers how far it got: nothing may arrive twice
	config map[string]string
	log    string // the file that it ends up in
	first  int    // the number of its first writer
}

// writersEach is how many goroutines write to one logger, and one more that
// writes a single line when the storm is over.
const writersEach = 3

// writers returns the numbers of the role's writers, the one that probes last.
func (r *role) writers() (numbers [writersEach + 1]int) {
	for i := range numbers {
		numbers[i] = r.first + i
	}
	return numbers
}

func (r *role) probe() int { return r.first + writersEach }

func (r *role) info() logdriver.Info {
	return logdriver.Info{ContainerName: r.name, LogPath: r.log, Config: r.config}
}

// failFile makes storing in a sink fail while it exists.
func failFile(dir string) string { return filepath.Join(dir, "sink-fails") }

// cast returns the loggers of a round in dir: scale times two fast ones and four
// slow ones of each kind. Names differ between rounds, so that counters of one
// are not taken for another's.
func cast(dir string, round, scale int) []*role {
	var roles []*role
	add := func(kind, driver string, fast bool, config map[string]string) {
		n := len(roles)
		r := &role{
			name: fmt.Sprintf("r%d-%s-%d", round, kind, n), driver: driver, fast: fast, exact: driver == "jsonfile",
			config: config, first: n * (writersEach + 1),
		}
		r.log = filepath.Join(dir, r.name+".log")
		if driver == "sink" {
			r.config = map[string]string{"file": r.log, "fail-file": failFile(dir)}
		}
		roles = append(roles, r)
	}
	for i := range scale * 6 {
		fast := i%3 == 0
		add("json", "jsonfile", fast, nil)
		add("sink", "sink", fast, nil)
		if i%3 < 2 {
			add("rotated", "jsonfile", fast, map[string]string{
				"max-size": strconv.Itoa(2 << 20), "max-file": "1000", "compress": strconv.FormatBool(i%2 == 0),
			})
		}
	}
	return roles
}

func writerCount(roles []*role) int { return len(roles) * (writersEach + 1) }
