package docker

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// scanInterval is how often all processes are looked at.
const scanInterval = 200 * time.Millisecond

// liveness says whether a container has processes.
type liveness int

const (
	unknown liveness = iota // none was seen so far; perhaps they cannot be seen from here
	alive
	dead
)

// processes finds those of containers by the name of their control group, in which
// the container's ID occurs however groups are arranged.
type processes struct {
	proc string // where the proc file system is

	mu      sync.Mutex
	scanned time.Time
	groups  map[int][]byte // of all processes, by number
	seen    map[string]sighting
}

// sighting is a process of a container.
type sighting struct {
	pid  int
	last time.Time // when it was there
}

func newProcesses(proc string) *processes {
	return &processes{proc: proc, seen: make(map[string]sighting)}
}

// state tells whether the container has a process.
func (p *processes) state(id string) liveness {
	if id == "" {
		return unknown
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s, seen := p.seen[id]
	now := time.Now()
	if seen && p.has(s.pid, id) {
		p.seen[id] = sighting{s.pid, now}
		return alive
	}
	if now.Sub(p.scanned) >= scanInterval {
		p.scan()
	}
	for pid, group := range p.groups {
		// What was scanned may be over.
		if bytes.Contains(group, []byte(id)) && p.has(pid, id) {
			p.seen[id] = sighting{pid, now}
			return alive
		}
	}
	switch {
	case !seen:
		return unknown
	case p.scanned.After(s.last):
		return dead
	}
	return alive // as far as is known: the next scan will tell
}

func (p *processes) has(pid int, id string) bool { return bytes.Contains(p.group(pid), []byte(id)) }

// forget drops what is known of a container.
func (p *processes) forget(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.seen, id)
}

func (p *processes) scan() {
	p.scanned, p.groups = time.Now(), make(map[int][]byte)
	entries, err := os.ReadDir(p.proc)
	if err != nil {
		return
	}
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil && pid != os.Getpid() {
			p.groups[pid] = p.group(pid)
		}
	}
}

// group returns what the system says of a process's control groups, nothing for one that has
// ended.
func (p *processes) group(pid int) []byte {
	text, err := os.ReadFile(filepath.Join(p.proc, strconv.Itoa(pid), "cgroup"))
	if err != nil {
		return nil
	}
	return text
}
