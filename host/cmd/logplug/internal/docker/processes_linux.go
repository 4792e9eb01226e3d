package docker

import (
	"bytes"
	"maps"
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
	gone    map[string]bool // were not seen, and would have been
	forgot  int             // how many times something was forgotten
}

// sighting is a process of a container.
type sighting struct {
	pid  int
	last time.Time // when it was there
}

func newProcesses(proc string) *processes {
	return &processes{proc: proc, seen: make(map[string]sighting), gone: make(map[string]bool)}
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
			delete(p.gone, id)
			return alive
		}
	}
	switch {
	case p.gone[id]:
		return dead
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
	delete(p.gone, id)
	p.forgot++
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

// census looks for all that belongs to containers of which no process was seen: also for
// what runs them, which has their ID in its arguments where their processes are in a virtual
// machine. Those for which there is nothing are dead, if the daemon can be seen
// from here: it holds their FIFO, whose name is given.
func (p *processes) census(fifos map[string]string) {
	if len(fifos) == 0 {
		return
	}
	entries, err := os.ReadDir(p.proc)
	if err != nil {
		return
	}
	p.mu.Lock()
	forgot := p.forgot
	p.mu.Unlock()
	held := make(map[string]bool)
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		arguments, _ := os.ReadFile(filepath.Join(p.proc, e.Name(), "cmdline")) // it may have ended
		text := append(arguments, p.group(pid)...)
		maps.DeleteFunc(fifos, func(id, _ string) bool { return bytes.Contains(text, []byte(id)) })
		p.files(e.Name(), func(name string) { held[name] = true })
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, fifo := range fifos {
		if held[fifo] && forgot == p.forgot { // a new run may have begun meanwhile
			p.gone[id] = true
		}
	}
}

// files calls f with the names of the files that a process has open.
func (p *processes) files(pid string, f func(name string)) {
	dir := filepath.Join(p.proc, pid, "fd")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return // it has ended, or is nobody's business
	}
	for _, e := range entries {
		if path, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil {
			f(filepath.Base(path))
		}
	}
}
