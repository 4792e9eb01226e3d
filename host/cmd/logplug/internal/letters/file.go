package letters

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"

	"github.com/logplug/logplug/host"
)

const (
	takenSuffix = ".taken"
	lockSuffix  = ".lock"
	newSuffix   = ".new"
)

// ErrInUse tells that another process works on the file.
var ErrInUse = errors.New("another logplug works on it at present; try again when that has ended")

// File is a file of dead letters. It need not exist.
type File struct{ path string }

// NewFile returns the file at path.
func NewFile(path string) *File { return &File{path: path} }

// Path returns the file's path.
func (f *File) Path() string { return f.path }

func (f *File) taken() string { return f.path + takenSuffix }

// All iterates over the dead letters, the oldest first. Lines that are not one
// are reported.
func (f *File) All() iter.Seq2[host.DeadLetter, error] {
	return func(yield func(host.DeadLetter, error) bool) {
		s, err := f.open()
		if err != nil {
			yield(host.DeadLetter{}, err)
			return
		}
		defer s.close()
		for _, file := range s {
			for d, err := range host.DecodeDeadLetters(file, file.Name()) {
				if !yield(d, err) {
					return
				}
			}
		}
	}
}

// Take takes what is in the file, to work on it. errors.Is(err, fs.ErrNotExist)
// tells that there is nothing, and ErrInUse that somebody else has taken it.
func (f *File) Take() (*Taken, error) {
	lock, err := f.lock()
	if err != nil {
		return nil, fmt.Errorf("take the dead letters of %s: %w", f.path, err)
	}
	t := &Taken{file: f, lock: lock, done: make(map[int]bool)}
	if err := t.begin(); err != nil {
		return nil, errors.Join(fmt.Errorf("take the dead letters of %s: %w", f.path, err), lock.Close())
	}
	return t, nil
}

func (f *File) lock() (*os.File, error) {
	if err := f.exists(); err != nil {
		return nil, err // no lock file where nothing else is
	}
	return acquire(f.path + lockSuffix)
}

func (f *File) exists() error {
	_, err := os.Stat(f.taken())
	if errors.Is(err, fs.ErrNotExist) {
		_, err = os.Stat(f.path)
	}
	return err
}
