package jobs

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const (
	// maxRecordBytes bounds a record: command lines and their environments have
	// a few megabytes at most.
	maxRecordBytes = 16 << 20
	recordSuffix   = ".json"
	tempPrefix     = ".new-"
)

// Store is a state directory. Its methods may be called from any goroutine and
// any number of processes.
type Store struct{ dir string }

// NewStore returns the store in dir, which needs to exist only once something is
// written.
func NewStore(dir string) *Store { return &Store{dir: dir} }

// Dir returns the state directory.
func (s *Store) Dir() string { return s.dir }

// LogDir is the directory of a job's log files.
func (s *Store) LogDir(id string) string { return filepath.Join(s.logsDir(), id) }

func (s *Store) logsDir() string { return filepath.Join(s.dir, "logs") }

// LogPath is the log file that a job is given. Drivers create it, and its
// directory.
func (s *Store) LogPath(id string) string { return filepath.Join(s.LogDir(id), id+".log") }

// DeadLetters is the file of messages that drivers will never take.
func (s *Store) DeadLetters() string { return filepath.Join(s.dir, "dead-letters.jsonl") }

func (s *Store) recordDir() string { return filepath.Join(s.dir, "jobs") }

func (s *Store) recordPath(id string) string { return filepath.Join(s.recordDir(), id+recordSuffix) }

// Get returns the record of exactly this id. errors.Is(err, fs.ErrNotExist) tells
// that there is none.
func (s *Store) Get(id string) (*Job, error) {
	if err := CheckID(id); err != nil {
		return nil, fmt.Errorf("%w: %w", err, fs.ErrNotExist)
	}
	j, err := readRecord(s.recordPath(id))
	if err == nil && j.ID != id {
		err = fmt.Errorf("it is the record of %q", j.ID)
	}
	if err != nil {
		return nil, fmt.Errorf("read the record of job %s: %w", id, err)
	}
	return j, nil
}

func readRecord(path string) (*Job, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxRecordBytes+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxRecordBytes {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, maxRecordBytes)
	}
	j := new(Job)
	if err := json.Unmarshal(text, j); err != nil {
		return nil, fmt.Errorf("%s is damaged: %w", path, err)
	}
	if j.Format != format {
		return nil, fmt.Errorf("%s has format %d, this logplug knows %d", path, j.Format, format)
	}
	return j, nil
}

// IDs returns the ids of all records, sorted.
func (s *Store) IDs() ([]string, error) {
	entries, err := os.ReadDir(s.recordDir())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list jobs: %w", err)
	}
	var ids []string
	for _, e := range entries {
		if id, ok := strings.CutSuffix(e.Name(), recordSuffix); ok && idPattern.MatchString(id) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// List returns all records, the latest first, and one error for each that cannot
// be read.
func (s *Store) List() (list []*Job, bad []error) {
	ids, err := s.IDs()
	if err != nil {
		return nil, []error{err}
	}
	for _, id := range ids {
		j, err := s.Get(id)
		switch {
		case err == nil:
			list = append(list, j)
		case !errors.Is(err, fs.ErrNotExist): // else removed meanwhile
			bad = append(bad, err)
		}
	}
	slices.SortStableFunc(list, func(a, b *Job) int { return b.Created.Compare(a.Created) })
	return list, bad
}

// put writes j's record.
func (s *Store) put(j *Job) error {
	text, err := json.MarshalIndent(j, "", "  ")
	if err != nil {
		return err
	}
	return s.replace(s.recordPath(j.ID), append(text, '\n'))
}

// replace gives path the content text in one step. CreateTemp makes files of mode
// 0600.
func (s *Store) replace(path string, text []byte) (err error) {
	f, err := os.CreateTemp(s.recordDir(), tempPrefix)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	if _, err = f.Write(text); err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
