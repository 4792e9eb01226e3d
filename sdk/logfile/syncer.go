package logfile

import (
	"errors"
	"os"
	"sync"
	"time"
)

// syncer makes a log durable some time after it was written to. It costs nothing
// while nothing is written.
type syncer struct {
	mu      sync.Mutex
	pending bool
	stopped bool
	timer   *time.Timer
	running sync.WaitGroup
}

// written is called after each write.
func (s *syncer) written(l *Log) {
	if l.cfg.Sync != SyncInterval {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending || s.stopped {
		return
	}
	s.pending = true
	s.running.Add(1)
	s.timer = time.AfterFunc(l.cfg.SyncInterval, func() { s.run(l) })
}

func (s *syncer) run(l *Log) {
	defer s.running.Done()
	s.mu.Lock()
	s.pending = false
	s.mu.Unlock()
	// A rotation makes the file durable before it closes it.
	if err := l.currentFile().Sync(); err != nil && !errors.Is(err, os.ErrClosed) {
		l.cfg.OnError(err)
	}
}

func (l *Log) currentFile() writableFile {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cur.f
}

// stop ends it, and waits for a run that is under way.
func (s *syncer) stop() {
	s.mu.Lock()
	s.stopped = true
	if s.pending && s.timer.Stop() {
		s.pending = false
		s.running.Done()
	}
	s.mu.Unlock()
	s.running.Wait()
}
