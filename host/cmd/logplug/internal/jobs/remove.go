package jobs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// removedPrefix begins the name of a log directory that is being removed. No id begins
// so.
const removedPrefix = ".removed-"

// Remove removes the record and the log directory of a job that is not running, and
// what is left of others whose removal was interrupted.
func (s *Store) Remove(id string) error {
	aside, err := s.unlist(id)
	if err != nil {
		return err
	}
	// What is large or on a disk that hangs must not keep others from the lock.
	if err := os.RemoveAll(aside); err != nil {
		return fmt.Errorf("remove the log of job %s: %w; the next rm tries again", id, err)
	}
	return s.removeInterrupted()
}

// unlist removes the record of a job that is not running, and returns where its log is
// then.
func (s *Store) unlist(id string) (aside string, err error) {
	unlock, err := s.lock()
	if err != nil {
		return "", err
	}
	defer unlock()
	j, err := s.Get(id)
	if err != nil {
		return "", err
	}
	if err := j.idle(); err != nil {
		return "", err
	}
	return s.setAside(id)
}

// setAside moves the log away first, so that what is left after an error can be
// removed later. It is called with the lock.
func (s *Store) setAside(id string) (aside string, err error) {
	aside = filepath.Join(s.logsDir(), removedPrefix+NewID())
	if err := os.Rename(s.LogDir(id), aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("remove the log of job %s: %w", id, err)
	}
	return aside, s.removeRecord(id)
}

func (s *Store) removeRecord(id string) error {
	if err := os.Remove(s.recordPath(id)); err != nil {
		return fmt.Errorf("remove the record of job %s: %w", id, err)
	}
	return nil
}

// removeInterrupted removes what was set aside by somebody who was killed then, or who is
// still removing it.
func (s *Store) removeInterrupted() error {
	entries, err := os.ReadDir(s.logsDir())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("look for logs whose removal was interrupted: %w", err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), removedPrefix) {
			continue
		}
		if rerr := os.RemoveAll(filepath.Join(s.logsDir(), e.Name())); rerr != nil {
			err = errors.Join(err, fmt.Errorf("remove a log whose removal was interrupted: %w", rerr))
		}
	}
	return err
}
