package docker

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// originFile is beside a container's log and says where the daemon keeps the container.
const originFile = "origin"

// origin is where the daemon keeps a container.
type origin struct {
	path string
	// parent is the directory of all containers, as identify returns it; empty if an earlier
	// version has noted the origin.
	parent string
}

// parseOrigin reads what text says: a path, behind the parent if it is known.
func parseOrigin(text string) (o origin, ok bool) {
	o.path = text
	if !filepath.IsAbs(text) {
		o.parent, o.path, ok = strings.Cut(text, " ")
		if !ok || o.parent == "" || !filepath.IsAbs(o.path) {
			return origin{}, false // damaged
		}
	}
	return o, true
}

func (o *origin) text() string { return o.parent + " " + o.path }

// identify names the directory at path, so that another one that is mounted there, or that
// appears when that is not mounted any more, has another name.
func identify(path string) (string, error) {
	st, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	sys := st.Sys().(*syscall.Stat_t)
	return fmt.Sprintf("%d:%d", sys.Dev, sys.Ino), nil
}

// gone tells whether the container is not there any more, though the directory is that it
// was in.
func (o *origin) gone() bool {
	before, err := identify(filepath.Dir(o.path))
	if err != nil || o.parent != "" && before != o.parent {
		return false // a data directory that is not mounted at present has no containers
	}
	_, err = os.Stat(o.path)
	after, unknown := identify(filepath.Dir(o.path))
	return errors.Is(err, os.ErrNotExist) && unknown == nil && after == before
}

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
	path, err := filepath.Abs(filepath.Join(s.cfg.DockerRoot, "containers", id))
	if err != nil {
		return err
	}
	return noteOrigin(dir, path)
}

// noteOrigin notes in the directory of a log that its container is at path, if it is.
func noteOrigin(dir, path string) error {
	o := origin{path: path}
	var err error
	if o.parent, err = identify(filepath.Dir(path)); err != nil {
		return nil // of another daemon, or not to be seen from here
	}
	if _, err := os.Stat(path); err != nil {
		return nil
	}
	return note(filepath.Join(dir, originFile), o.text())
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
	since, missing := make(map[*stream]time.Time), make(map[string]bool)
	for s.ctx.Err() == nil {
		s.retake()
		pause := tidyInterval
		if s.removeLogs(missing) {
			pause = secondLook
		}
		s.endAbandoned(since)
		sleep(s.ctx, pause)
	}
}

// removeLogs removes the logs of containers that the daemon has removed. Those that
// are missing for the first time it adds to missing: a look at a data directory that is just
// being mounted may be wrong. It returns whether there are any.
func (s *Service) removeLogs(missing map[string]bool) (more bool) {
	entries, err := os.ReadDir(filepath.Join(s.cfg.StateDir, logsDir))
	if err != nil {
		return false // there are none so far
	}
	for _, e := range entries {
		id := e.Name()
		dir := filepath.Join(s.cfg.StateDir, logsDir, id)
		switch {
		case !s.orphaned(id, dir):
			delete(missing, id)
		case !missing[id]:
			missing[id], more = true, true
		default:
			delete(missing, id)
			s.removeLog(id, dir)
		}
	}
	return more
}

func (s *Service) removeLog(id, dir string) {
	if err := os.RemoveAll(dir); err != nil {
		s.log.Warn("the log of a container that was removed stays", "error", err)
		return
	}
	s.log.Debug("removed the log of a container that was removed", "container", id)
}

// orphaned tells whether the container was seen in the daemon's data directory, and is
// gone. Of one that is there it notes where, as devices get other numbers when a machine
// starts.
func (s *Service) orphaned(id, dir string) bool {
	s.mu.Lock()
	used := s.containers[id] != nil || s.waits(id)
	s.mu.Unlock()
	text, err := os.ReadFile(filepath.Join(dir, originFile))
	if used || err != nil {
		return false
	}
	o, ok := parseOrigin(string(text))
	if !ok {
		return false
	}
	if o.gone() {
		return true
	}
	if err := noteOrigin(dir, o.path); err != nil {
		s.log.Debug("it cannot be noted where a container is", "container", id, "error", err)
	}
	return false
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
