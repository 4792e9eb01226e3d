package logfile

import "sync"

// position is how far a log is written.
type position struct {
	gen    uint64
	size   int64
	closed bool
}

// published is the position that readers of this process may see.
type published struct {
	mu  sync.Mutex
	pos position
	// wake is closed at the next change; nil while nobody waits for it.
	wake chan struct{}
}

func (p *published) get() position {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pos
}

func (p *published) watch() (position, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wake == nil {
		p.wake = make(chan struct{})
	}
	return p.pos, p.wake
}

func (p *published) set(pos position) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pos = pos
	if p.wake != nil {
		close(p.wake)
		p.wake = nil
	}
}
