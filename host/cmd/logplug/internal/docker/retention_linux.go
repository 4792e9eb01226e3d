package docker

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// originFile is beside a container's log and has the path of the container in the
// daemon's data directory.
const originFile = "origin"

// remember makes the directory of a container's log, and notes where the daemon
// keeps the container: the daemon does not say when it removes one.
func (s *Service) remember(id string) error {
	dir := filepath.Join(s.cfg.StateDir, logsDir, id)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if s.cfg.DockerRoot == "" {
		return nil
	}
	origin, err := filepath.Abs(filepath.Join(s.cfg.DockerRoot, "containers", id))
	if err != nil {
		return err
	}
	if _, err := os.Stat(origin); err != nil {
		return nil // of another daemon, or not to be seen from here
	}
	return note(filepath.Join(dir, originFile), origin)
}

// note makes text what is in the file at path. At no moment is only a part of it there:
// the log is removed of a container whose origin is gone.
func note(path, text string) error {
	if old, err := os.ReadFile(path); err == nil && string(old) == text {
		return nil
	}
	f, err := os.CreateTemp(filepath.Dir(path), originFile+newSuffix)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// tidy removes from time to time what nobody needs any more.
func (s *Service) tidy() {
	tick := time.NewTicker(tidyInterval)
	defer tick.Stop()
	since := make(map[*stream]time.Time)
	for {
		s.removeLogs()
		s.endAbandoned(since)
		select {
		case <-tick.C:
		case <-s.ctx.Done():
			return
		}
	}
}

// removeLogs removes the logs of containers that the daemon has removed.
func (s *Service) removeLogs() {
	entries, err := os.ReadDir(filepath.Join(s.cfg.StateDir, logsDir))
	if err != nil {
		return // there are none so far
	}
	for _, e := range entries {
		dir := filepath.Join(s.cfg.StateDir, logsDir, e.Name())
		if !s.orphaned(e.Name(), dir) {
			continue
		}
		if err := os.RemoveAll(dir); err != nil {
			s.log.Warn("the log of a container that was removed stays", "error", err)
			continue
		}
		s.log.Debug("removed the log of a container that was removed", "container", e.Name())
	}
}

// orphaned tells whether the container was seen in the daemon's data directory, and is
// gone.
func (s *Service) orphaned(id, dir string) bool {
	s.mu.Lock()
	_, used := s.containers[id]
	s.mu.Unlock()
	text, err := os.ReadFile(filepath.Join(dir, originFile))
	if used || err != nil {
		return false
	}
	origin := string(text)
	if !filepath.IsAbs(origin) {
		return false // damaged
	}
	// A data directory that is not mounted at present has no containers at all.
	if _, err := os.Stat(filepath.Dir(origin)); err != nil {
		return false
	}
	_, err = os.Stat(origin)
	return errors.Is(err, os.ErrNotExist)
}

// endAbandoned ends streams whose end the daemon could not tell.
func (s *Service) endAbandoned(since map[*stream]time.Time) {
	streams := s.countDead()
	now := time.Now()
	for _, st := range streams {
		if !st.abandoned(now, since) {
			continue
		}
		if !s.confirmed(st) {
			delete(since, st)
			continue
		}
		s.log.Warn("the container has ended, and the daemon has not said so", "container", st.Info.ID())
		st.intake.stop()
	}
	for st := range since {
		if st.full() {
			delete(since, st)
		}
	}
}

// confirmed looks again whether a container has ended: the daemon waits for ever for
// somebody to read a FIFO that is wrongly let go of.
func (s *Service) confirmed(st *stream) bool {
	s.processes.doubt(st.Info.ContainerID)
	s.countDead()
	return s.processes.state(st.Info.ContainerID) == dead
}

// countDead finds out which containers have ended before this service began: their
// processes were never seen. It returns all streams.
func (s *Service) countDead() (streams []*stream) {
	forgot := s.processes.forgotten() // before it is known which there are
	s.mu.Lock()
	streams = slices.Collect(maps.Values(s.streams))
	s.mu.Unlock()
	fifos, fresh := make(map[string]string), make(map[string]bool)
	for _, st := range streams {
		id := st.Info.ContainerID
		switch {
		case !st.resumed:
			fresh[id] = true // its process may be just about to begin
		case !st.full() && !st.intake.stopped() && s.processes.state(id) == unknown:
			fifos[id] = filepath.Base(st.File)
		}
	}
	maps.DeleteFunc(fifos, func(id, _ string) bool { return id == "" || fresh[id] })
	s.processes.census(fifos, forgot)
	return streams
}
