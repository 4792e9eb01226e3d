//go:build linux

package containerd

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/logplug/logplug/host/cmd/logplug/internal/jobs"
)

// Notes of containers that have ended and whose drivers do not have everything yet. Nobody
// waits for them any more: if their process is killed, the next one finds the notes and ends
// their jobs, see Ended. A note holds which run of the container is meant, and on further lines
// what is missing in its log.
func endedDir(store *jobs.Store) string { return filepath.Join(store.Dir(), "ended") }

func (s *Session) endedNote() string { return filepath.Join(endedDir(s.cfg.Store), s.cfg.Job.ID) }

// NoteEnd notes that the output was read to its end, before the container's process is told.
func (s *Session) NoteEnd() error {
	if err := os.MkdirAll(endedDir(s.cfg.Store), 0o700); err != nil {
		return err
	}
	text := runOf(&s.cfg.Job) + "\n" + strings.Join(s.troubles(nil), "; ")
	return os.WriteFile(s.endedNote(), []byte(text), 0o600)
}

// runOf tells one run of a container from others. It stays the same when another process claims
// the job to end it.
func runOf(job *jobs.Job) string { return job.Info.ContainerCreated.UTC().Format(time.RFC3339Nano) }

// finish ends the job.
func (s *Session) finish(code int, trouble string) error {
	return settle(func() error {
		if err := s.claim.Finish(code, trouble, ""); err != nil {
			return err
		}
		_ = os.Remove(s.endedNote()) // most have none; Ended removes what is left
		return nil
	})
}

// EndedJob is the job of a container that has ended.
type EndedJob struct {
	jobs.Job
	// Missing says what is missing in the log, as far as that was known.
	Missing string
}

// Ended returns the jobs of containers that had ended when the process that logged
// them was killed. There is nothing to read of them: each is to be opened with pipes that
// have ended, so that what its spool holds is delivered, and closed. See Config.Ended.
func Ended(store *jobs.Store) (ended []EndedJob, err error) {
	entries, err := os.ReadDir(endedDir(store))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	for _, e := range entries {
		path := filepath.Join(endedDir(store), e.Name())
		text, rerr := os.ReadFile(path)
		run, missing, _ := strings.Cut(string(text), "\n")
		job, jerr := store.Get(e.Name())
		if rerr == nil && jerr == nil && run == runOf(job) && job.State() == jobs.Lost {
			ended = append(ended, EndedJob{*job, missing})
			continue
		}
		if jerr == nil && job.Active() {
			continue // it is being closed by another process
		}
		if errors.Is(jerr, os.ErrNotExist) {
			jerr = nil // there is no job any more
		}
		if failed := errors.Join(rerr, jerr); failed != nil {
			err = errors.Join(err, failed)
			continue // it is known next time, perhaps
		}
		err = errors.Join(err, os.Remove(path))
	}
	return ended, err
}

// EndedPipes returns pipes at their end.
func EndedPipes() (pipes [2]*os.File, err error) {
	for i := range pipes {
		r, w, perr := os.Pipe()
		if err = errors.Join(err, perr); perr == nil {
			pipes[i] = r
			err = errors.Join(err, w.Close())
		}
	}
	return pipes, err
}
