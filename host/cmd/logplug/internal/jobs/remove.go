package jobs

import (
	"fmt"
	"os"
)

// Remove removes the record and the log directory of a job that is not running.
func (s *Store) Remove(id string) error {
	unlock, err := s.lock()
	if err != nil {
		return err
	}
	defer unlock()
	j, err := s.Get(id)
	if err != nil {
		return err
	}
	if err := j.idle(); err != nil {
		return err
	}
	return s.remove(id)
}

// remove removes the files first, so that what is left after an error can be
// removed later. It is called with the lock.
func (s *Store) remove(id string) error {
	if err := os.RemoveAll(s.LogDir(id)); err != nil {
		return fmt.Errorf("remove the log of job %s: %w", id, err)
	}
	return s.removeRecord(id)
}

func (s *Store) removeRecord(id string) error {
	if err := os.Remove(s.recordPath(id)); err != nil {
		return fmt.Errorf("remove the record of job %s: %w", id, err)
	}
	return nil
}
