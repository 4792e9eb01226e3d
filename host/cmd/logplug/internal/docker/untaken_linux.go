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
	if r.Info.ContainerID != "" { // else the record cannot be read at present
		u.container = r.Info.ContainerID
	}
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
		if err != nil {
			s.missed(dir, r, err)
			continue
		}
		if s.retaken(dir, st) {
			continue
		}
		if err := st.close(); err != nil {
			s.log.Warn("closing the state of a container's output", "error", err)
		}
	}
}

// missed takes note that the stream in dir cannot be opened, and why.
func (s *Service) missed(dir string, r record, err error) {
	_, gone := os.Stat(dir)
	s.mu.Lock()
	defer s.mu.Unlock()
	if errors.Is(gone, os.ErrNotExist) {
		delete(s.untaken, dir) // somebody has removed it
		return
	}
	s.untaken[dir].failed(s, r, err)
}

// retaken gives the stream in dir to its container, which may run. It returns false if that
// is just ending.
func (s *Service) retaken(dir string, st *stream) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.untaken[dir]
	if c, _ := s.join(st, false); c == nil {
		return false
	}
	delete(s.untaken, dir)
	if st.Began.After(s.newest) {
		s.newest = st.Began
	}
	if u.stopped {
		st.intake.stop()
	}
	return true
}
