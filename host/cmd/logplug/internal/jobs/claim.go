package jobs

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// RunningError reports that a job cannot be replaced or removed because it is
// still running.
type RunningError struct {
	ID  string
	PID int
	// Err, if not nil, is why it is not known whether that process is the job's.
	Err error
}

func (e *RunningError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("job %s may still be running (logplug process %d): %v", e.ID, e.PID, e.Err)
	}
	return fmt.Sprintf("job %s is still running (logplug process %d)", e.ID, e.PID)
}

// Unwrap returns e.Err.
func (e *RunningError) Unwrap() error { return e.Err }

// DriverChangedError reports that an id belongs to a finished job whose log
// another driver keeps.
type DriverChangedError struct{ ID, Has, Wants string }

func (e *DriverChangedError) Error() string {
	return fmt.Sprintf("job %s has a log in driver %s, which driver %s cannot add to; choose another id, or remove the job with: logplug rm %s",
		e.ID, e.Has, e.Wants, e.ID)
}

// Claim is the right to run a job under an id.
type Claim struct {
	store    *Store
	job      Job
	previous *Job // the finished job that had the id before
	hadLog   bool // a log was there before, if not a job
}

// Claim makes j the job of j.ID and this process its host. It fills in Format,
// HostPID, HostStart and Created. The id of a finished job can be
// claimed again: its log is added to.
func (s *Store) Claim(j Job) (*Claim, error) {
	if err := CheckID(j.ID); err != nil {
		return nil, err
	}
	unlock, err := s.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	previous, err := s.finished(&j)
	if err != nil {
		return nil, err
	}
	hadLog, err := s.hasLog(j.ID)
	if err != nil {
		return nil, err
	}
	s.sweep()
	j.Format, j.HostPID = format, os.Getpid()
	if j.HostStart, err = identity(j.HostPID); err != nil && !hidden(err) {
		return nil, err
	}
	j.Created = time.Now()
	if err := s.put(&j); err != nil {
		return nil, fmt.Errorf("write the record of job %s: %w", j.ID, err)
	}
	return &Claim{store: s, job: j, previous: previous, hadLog: hadLog}, nil
}

// finished returns the finished job whose id and log j is to take over, nil if there is
// none.
func (s *Store) finished(j *Job) (*Job, error) {
	previous, err := s.Get(j.ID)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if err := previous.idle(); err != nil {
		return nil, err
	}
	if previous.Driver != j.Driver {
		return nil, &DriverChangedError{ID: j.ID, Has: previous.Driver, Wants: j.Driver}
	}
	return previous, nil
}

// hasLog tells whether there is a log directory, which outlives a record that somebody
// removed by hand.
func (s *Store) hasLog(id string) (bool, error) {
	_, err := os.Lstat(s.LogDir(id))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// hidden tells that the system never shows a process what was looked for. It can log
// nevertheless: its number alone stands for it.
func hidden(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission)
}

// Started notes that the command runs as process pid, and which driver keeps a copy
// of its log, if one does.
func (c *Claim) Started(pid int, cache string) error {
	c.job.CommandPID, c.job.Cache = pid, cache
	return c.write()
}

// Quarantined notes which drivers are in quarantine, and why, if that has changed.
func (c *Claim) Quarantined(drivers map[string]string) error {
	if maps.Equal(drivers, c.job.Quarantined) {
		return nil
	}
	c.job.Quarantined = drivers
	return c.write()
}

// Finish notes the end of the job, and what is missing in the log and in its copy.
func (c *Claim) Finish(code int, trouble, cacheTrouble string) error {
	if c.job.Ended.IsZero() { // the first time, if it could not be written
		c.job.Ended = time.Now()
	}
	c.job.ExitCode, c.job.Trouble, c.job.CacheTrouble = code, trouble, cacheTrouble
	c.job.Quarantined = nil
	return c.write()
}

// Abandon takes the claim back: the command was never started. What the id stood
// for before is restored. A log that was there without a job stays.
func (c *Claim) Abandon() error {
	if c.previous != nil {
		c.job = *c.previous
		return c.write()
	}
	aside, err := c.unlist()
	if err != nil {
		return err
	}
	_ = os.RemoveAll(aside) // the id is free: what stays here goes with the next that is removed
	return nil
}

// unlist removes the record, and returns where what came with the claim is then.
func (c *Claim) unlist() (aside string, err error) {
	unlock, err := c.store.lock()
	if err != nil {
		return "", err
	}
	defer unlock()
	if c.hadLog {
		return "", c.store.removeRecord(c.job.ID)
	}
	return c.store.setAside(c.job.ID)
}

func (c *Claim) write() error {
	unlock, err := c.store.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if err := c.store.put(&c.job); err != nil {
		return fmt.Errorf("write the record of job %s: %w", c.job.ID, err)
	}
	return nil
}

// sweep removes what writers left that were killed while writing. It is called
// with the lock, so that none is at it.
func (s *Store) sweep() {
	entries, err := os.ReadDir(s.recordDir())
	if err != nil {
		return // the writing that follows says what is wrong
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), tempPrefix) {
			os.Remove(filepath.Join(s.recordDir(), e.Name()))
		}
	}
}
