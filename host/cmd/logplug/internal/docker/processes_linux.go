package docker

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
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
	whole   bool           // that scan could look at all processes
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
	if seen {
		switch p.member(s.pid, id) {
		case alive:
			p.seen[id] = sighting{s.pid, now}
			return alive
		case unknown:
			return alive // as it was
		}
	}
	if now.Sub(p.scanned) >= scanInterval {
		p.scan()
	}
	certain := p.whole
	for pid, group := range p.groups {
		if !bytes.Contains(group, []byte(id)) {
			continue
		}
		switch p.member(pid, id) { // what was scanned may be over
		case alive:
			p.seen[id] = sighting{pid, now}
			delete(p.gone, id)
			return alive
		case unknown:
			certain = false
		}
	}
	switch {
	case certain && p.gone[id]:
		return dead
	case !seen:
		return unknown
	case certain && p.scanned.After(s.last):
		return dead
	}
	return alive // as far as is known: the next scan will tell
}

// member tells whether a process is one of the container: dead if it has ended, unknown if that
// cannot be told now.
func (p *processes) member(pid int, id string) liveness {
	group, err := p.group(pid)
	switch {
	case err != nil:
		return unknown
	case bytes.Contains(group, []byte(id)):
		return alive
	}
	return dead
}

// forgotten returns what to give to a census of what is known now.
func (p *processes) forgotten() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.forgot
}

// doubt drops the verdict of a census, which somebody else may have asked for long ago.
func (p *processes) doubt(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.gone, id)
}

// forget drops what is known of a container.
func (p *processes) forget(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.seen, id)
	delete(p.gone, id)
	p.forgot++
}

// scan looks at all processes. Of those that it cannot look at it keeps what it knew.
func (p *processes) scan() {
	p.scanned, p.whole = time.Now(), false
	entries, err := os.ReadDir(p.proc)
	if err != nil {
		return
	}
	groups, whole := make(map[int][]byte), true
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		group, err := p.group(pid)
		if err != nil {
			group, whole = p.groups[pid], false
		}
		groups[pid] = group
	}
	p.groups, p.whole = groups, whole
}

// group returns what the system says of a process's control groups, nothing for one that has
// ended.
func (p *processes) group(pid int) ([]byte, error) {
	return readOf(filepath.Join(p.proc, strconv.Itoa(pid), "cgroup"))
}

// readOf reads a file of a process, which is empty if that has ended. Whatever else is the
// matter, too many open files perhaps, does not mean that.
func readOf(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
		return nil, nil
	}
	return text, err
}

// census looks for all that belongs to containers of which no process was seen: also for
// what runs them, which has their ID in its arguments where their processes are in a virtual
// machine. Those for which there is nothing are dead, if the daemon can be seen
// from here: it holds their FIFO, whose name is given. forgot is what forgotten returned
// before the containers were looked for: there is no verdict if a run has begun since.
func (p *processes) census(fifos map[string]string, forgot int) {
	if len(fifos) == 0 {
		return
	}
	entries, err := os.ReadDir(p.proc)
	if err != nil {
		return
	}
	held := make(map[string]bool)
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		arguments, err := readOf(filepath.Join(p.proc, e.Name(), "cmdline"))
		group, groupErr := p.group(pid)
		if err != nil || groupErr != nil {
			return // it may be the one
		}
		text := append(arguments, group...)
		maps.DeleteFunc(fifos, func(id, _ string) bool { return bytes.Contains(text, []byte(id)) })
		p.files(e.Name(), func(name string) { held[name] = true })
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, fifo := range fifos {
		if held[fifo] && forgot == p.forgot {
			p.gone[id] = true
		}
	}
}

// files calls f with the names of the files that a process has open for reading and writing,
// as a daemon has its FIFOs. This service reads them only: its children, which have its files
// until they run something else, are not taken for a daemon.
func (p *processes) files(pid string, f func(name string)) {
	dir := filepath.Join(p.proc, pid, "fd")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return // it has ended, or is nobody's business
	}
	for _, e := range entries {
		path, err := os.Readlink(filepath.Join(dir, e.Name()))
		if err == nil && both(filepath.Join(p.proc, pid, "fdinfo", e.Name())) {
			f(filepath.Base(path))
		}
	}
}

// both tells whether a file is open for reading and writing, of which info is what the system says.
func both(info string) bool {
	text, err := os.ReadFile(info)
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(text)) {
		if octal, ok := strings.CutPrefix(line, "flags:"); ok {
			flags, err := strconv.ParseUint(strings.TrimSpace(octal), 8, 64)
			return err == nil && flags&unix.O_ACCMODE == unix.O_RDWR
		}
	}
	return false
}
