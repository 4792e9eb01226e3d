package launch

import (
	"sync"
	"time"
)

const (
	tailLines     = 50   // lines that are kept for errors
	tailLineBytes = 1024 // bytes that are kept of each
)

// tail keeps the last lines of a driver's output. It is safe for concurrent use.
type tail struct {
	mu    sync.Mutex
	lines [tailLines]string
	n     int // lines seen

	telling   string    // the last line that tells of a limit, see limitLine
	tellingAt time.Time // when it was seen
}

// tellingAge is how long before the end of a process a line that tells of a limit
// may have come to explain that end. A stack trace may lie between.
const tellingAge = 10 * time.Second

func (t *tail) add(line string) {
	if len(line) > tailLineBytes {
		line = clean([]byte(line[:tailLineBytes])) + " ..."
	}
	telling := limitLine(line)
	t.mu.Lock()
	defer t.mu.Unlock()
	if telling {
		t.telling, t.tellingAt = line, time.Now()
	}
	t.lines[t.n%tailLines] = line
	t.n++
}

// last returns the lines that are kept, oldest first.
func (t *tail) last() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	first := max(0, t.n-tailLines)
	var all []string
	for i := first; i < t.n; i++ {
		all = append(all, t.lines[i%tailLines])
	}
	return all
}

// recentlyTelling returns the last line that tells of a limit, if it is a fresh one.
func (t *tail) recentlyTelling() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if time.Since(t.tellingAt) > tellingAge {
		return ""
	}
	return t.telling
}
