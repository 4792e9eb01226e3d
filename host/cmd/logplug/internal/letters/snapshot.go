package letters

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// snapshot holds FILE.taken and FILE open, as far as they exist, as they were at one
// moment.
type snapshot []*os.File

// snapshotTries is how often they are opened while others move them. Moving takes far
// longer than opening.
const snapshotTries = 100

// open looks after opening both whether nothing was moved in between: what was moved
// from one that is opened later to one that was opened before would be in neither.
func (f *File) open() (snapshot, error) { return f.openBy(openIfThere) }

func (f *File) openBy(open func(path string) (*os.File, error)) (snapshot, error) {
	for range snapshotTries {
		aside, err := open(f.taken())
		if err != nil {
			return nil, err
		}
		current, err := open(f.path)
		s := newSnapshot(aside, current)
		if err != nil {
			s.close()
			return nil, err
		}
		same, err := isAt(current, f.path)
		if same {
			same, err = isAt(aside, f.taken())
		}
		if same {
			return s, nil
		}
		s.close()
		if err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%s is changed all the time; try again", f.path)
}

// openIfThere returns nil for a file that does not exist.
func openIfThere(path string) (*os.File, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return f, err
}

// newSnapshot leaves out what does not exist.
func newSnapshot(files ...*os.File) (s snapshot) {
	for _, f := range files {
		if f != nil {
			s = append(s, f)
		}
	}
	return s
}

func (s snapshot) close() {
	for _, f := range s {
		_ = f.Close() // nothing was written
	}
}

// isAt tells whether f is what is at path, nil if nothing is.
func isAt(f *os.File, path string) (bool, error) {
	there, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return f == nil, nil
	}
	if err != nil || f == nil {
		return false, err
	}
	opened, err := f.Stat()
	return err == nil && os.SameFile(opened, there), err
}
