package letters

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"slices"

	"github.com/logplug/logplug/host"
)

// Taken is what was in a file of dead letters. It is for one goroutine.
type Taken struct {
	file *File
	lock *os.File
	done map[int]bool // indexes of lines to leave out
}

// Entry is a line of a file of dead letters.
type Entry struct {
	// Index identifies the line, for Done.
	Index int
	// Letter is the zero value where Err is set.
	Letter host.DeadLetter
	// Err tells that the line is no dead letter.
	Err error
}

// begin moves the file aside, unless a logplug that was killed has left one that
// comes first.
func (t *Taken) begin() error {
	aside := t.file.taken()
	_, err := os.Stat(aside)
	if errors.Is(err, fs.ErrNotExist) {
		err = os.Rename(t.file.path, aside)
	}
	if err != nil {
		return err
	}
	// A host that opened the file before it was moved may not have written yet,
	// whoever moved it.
	return awaitWriters(aside)
}

// All iterates over the lines. It may be called several times.
func (t *Taken) All() iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		file, err := os.Open(t.file.taken())
		if err != nil {
			yield(Entry{Err: err})
			return
		}
		defer file.Close()
		index := 0
		for d, err := range host.DecodeDeadLetters(file, file.Name()) {
			if !yield(Entry{Index: index, Letter: d, Err: err}) {
				return
			}
			index++
		}
	}
}

// Done marks a line as one to remove. It takes effect with Close.
func (t *Taken) Done(index int) { t.done[index] = true }

// Close removes what was marked, in one step, puts the rest back and lets others
// have the file.
func (t *Taken) Close() error {
	return errors.Join(t.finish(), t.lock.Close())
}

func (t *Taken) finish() error {
	aside := t.file.taken()
	rest, err := t.rest()
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		// If this is the last that happens, the rest is in both files: better than in
		// none.
		if err := replace(aside, rest); err != nil {
			return err
		}
		if err := appendTo(t.file.path, rest); err != nil {
			return err
		}
	}
	return os.Remove(aside)
}

// rest returns the lines that are not marked, as they are.
func (t *Taken) rest() (rest []byte, err error) {
	f, err := os.Open(t.file.taken())
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines := bufio.NewReader(f)
	for index := 0; ; {
		line, err := lines.ReadBytes('\n')
		line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
		if len(line) > 0 { // empty ones are not counted, see host.DecodeDeadLetters
			if !t.done[index] {
				rest = append(append(rest, line...), '\n')
			}
			index++
		}
		if errors.Is(err, io.EOF) {
			return rest, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// replace gives a file other content, in one step.
func replace(path string, text []byte) error {
	fresh := path + newSuffix
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := appendTo(fresh, text); err != nil {
		return errors.Join(err, os.Remove(fresh))
	}
	return os.Rename(fresh, path)
}

// appendTo adds text to a file with one write, as hosts do.
func appendTo(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	torn, err := isTorn(f)
	if torn {
		text = slices.Concat([]byte("\n"), text)
	}
	if err == nil {
		_, err = f.Write(text)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// isTorn tells whether f ends within a line: a host was killed, or the disk was full, in
// the middle of it.
func isTorn(f *os.File) (bool, error) {
	st, err := f.Stat()
	if err != nil || st.Size() == 0 {
		return false, err
	}
	var last [1]byte
	_, err = f.ReadAt(last[:], st.Size()-1)
	return err == nil && last[0] != '\n', err
}
