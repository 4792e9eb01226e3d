package docker

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// untaken is a stream of an earlier service that could not be taken up: there were too many
// open files, perhaps.
type untaken struct {
	container string // empty if its record cannot be read
	stopped   bool   // the daemon has written the last
	said      string // why
}

// failed notes and says why, once while that stays the same. It is called with s.mu, or
// before there is anybody else.
func (u *untaken) failed(s *Service, r record, err error) {
	u.container = r.Info.ContainerID
	if u.said != err.Error() {
		u.said = err.Error()
		s.log.Error("output of a container cannot be taken up again yet", "container", r.Info.ID(), "error", err)
	}
}

// stateOf returns the directory of a FIFO's state.
func (s *Service) stateOf(fifo string) string {
	return filepath.Join(s.cfg.StateDir, streamsDir, dirName(fifo))
}

// waits tells whether output of the container could not be taken up. It is called with s.mu.
func (s *Service) waits(id string) bool {
	for _, u := range s.untaken {
		if u.container == id {
			return true
		}
	}
	return false
}

// retake takes up what could not be taken up before.
func (s *Service) retake() {
	s.mu.Lock()
	dirs := slices.Collect(maps.Keys(s.untaken))
	s.mu.Unlock()
	for _, dir := range dirs {
		r, err := readRecord(dir)
		var st *stream
		if err == nil {
			st, err = s.reopen(found{dir, r})
		}
		s.retaken(dir, r, st, err)
	}
}

// retaken gives the stream in dir to its container, which may run. err is why it cannot be
// opened.
func (s *Service) retaken(dir string, r record, st *stream, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.untaken[dir]
	if err != nil {
		if _, gone := os.Stat(dir); errors.Is(gone, os.ErrNotExist) {
			delete(s.untaken, dir) // somebody has removed it
			return
		}
		u.failed(s, r, err)
		return
	}
	if c, _ := s.join(st, false); c == nil { // it is just ending
		if err := st.close(); err != nil {
			s.log.Warn("closing the state of a container's output", "error", err)
		}
		return
	}
	delete(s.untaken, dir)
	if st.Began.After(s.newest) {
		s.newest = st.Began
	}
	if u.stopped {
		st.intake.stop()
	}
}
