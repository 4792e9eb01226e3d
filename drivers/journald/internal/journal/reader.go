package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Errors that a reading may meet on its way.
var (
	// ErrRemoved reports entries that journald has removed to make room.
	ErrRemoved = errors.New("entries were removed from the journal before they were read")
	// ErrDenied reports files that may not be read.
	ErrDenied = errors.New("may not read the journal")
)

// Reader reads the entries that contain one field, in order, from all files of
// some directories. It sees what there was at the last Refresh. It is not safe for
// concurrent use.
type Reader struct {
	dirs    []listing
	match   []byte
	sources []*source
	open    map[fileID]bool   // files among the sources
	dull    map[string]fileID // archived files without such entries, or finished, by name
	opened  bool              // a file could be read
	young   bool              // a new file could not be read yet
	denied  error
	last    place // the last entry that was read, or skipped

	forward  bool        // the reader does not go back any more
	finished map[ID]bool // files that were closed since, by the ID in their headers

	unsettled bool // the last Next or Tail met an entry that may not be finished
}

// Position is a place in a Reader's entries.
type Position map[ID]uint64

// NewReader returns a reader of the entries in dirs with the field name=value. Call
// Refresh before anything else.
func NewReader(dirs []string, name, value string) *Reader {
	r := &Reader{
		match: []byte(name + "=" + value), open: make(map[fileID]bool), dull: make(map[string]fileID), finished: make(map[ID]bool),
	}
	for _, dir := range dirs {
		r.dirs = append(r.dirs, listing{dir: dir})
	}
	return r
}

// Close closes the files.
func (r *Reader) Close() {
	for _, s := range r.sources {
		s.close()
	}
	r.sources = nil
}

// youth is the age up to which a file may get a header that can be read: journald
// completes it after the directory has changed.
const youth = time.Minute

// listTries bounds how often directories are listed that change meanwhile.
const listTries = 3

// Refresh makes visible what has been written since. Files that cannot be read
// are left out; ErrDenied is returned if permissions leave none.
func (r *Reader) Refresh() error {
	// New files first: once there is one, its predecessor is complete.
	changed := false
	for range listTries {
		again, err := r.list()
		if err != nil {
			return err
		}
		if !again {
			break
		}
		changed = true
	}
	kept := r.sources[:0]
	for _, s := range r.sources {
		s.refresh(r.match)
		if r.forward {
			r.skipCopies(s)
		}
		if s.useless() || changed && s.spent() || r.forward && s.exhausted() {
			r.letGo(s)
			continue
		}
		kept = append(kept, s)
	}
	clear(r.sources[len(kept):])
	r.sources = kept
	if !r.opened {
		return r.denied
	}
	return nil
}

// Denied returns ErrDenied if none of the visible files has such entries and others may
// not be read: then it is not known that there are none. A user without special rights
// can read files of his own at most.
func (r *Reader) Denied() error {
	for _, s := range r.sources {
		if s.series != nil {
			return nil
		}
	}
	return r.denied
}

// ForwardOnly tells that the reader does not go back any more, by whatever method.
// Refresh then closes files that were read and that journald has finished.
func (r *Reader) ForwardOnly() {
	r.forward = true
	r.rest()
}

// letGo closes a file of which nothing is wanted any more.
func (r *Reader) letGo(s *source) {
	if r.forward { // by the name that it has now it would be read once more
		r.finished[s.file.id] = true
	}
	// By its former name another file may get its inode, once it is removed.
	if fi, err := os.Stat(s.os.Name()); err == nil && identify(fi) == s.id {
		r.dull[s.os.Name()] = s.id
	}
	delete(r.open, s.id)
	s.close()
}

// list opens files that are not open yet. again tells that a directory has
// changed since the last time: a file may have got another name while it was listed.
func (r *Reader) list() (again bool, err error) {
	for i := range r.dirs {
		l := &r.dirs[i]
		names, err := l.names()
		r.young = false
		for n := 0; n < len(names) && err == nil; n++ {
			err = r.openFile(names[n])
		}
		if r.young {
			l.changed = time.Time{}
		}
		switch {
		case errors.Is(err, fs.ErrPermission):
			r.denied = fmt.Errorf("%w: %w", ErrDenied, err)
		case err != nil:
			l.changed = time.Time{}
			return false, err
		}
		again = again || len(names) > 0
	}
	return again, nil
}

func (r *Reader) openFile(name string) error {
	fi, err := os.Stat(name)
	if err != nil || r.known(name, identify(fi)) {
		return nil // renamed meanwhile, or known
	}
	f, err := os.Open(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, fs.ErrPermission):
		r.denied = fmt.Errorf("%w: %w", ErrDenied, err)
		return nil
	case err != nil:
		return fmt.Errorf("open journal file: %w", err)
	}
	fi, err = f.Stat()
	if err != nil || r.known(name, identify(fi)) {
		f.Close()
		return nil
	}
	jf, err := openFile(f)
	if err != nil {
		f.Close() // foreign, or so new that its header is not complete
		r.young = r.young || time.Since(fi.ModTime()) < youth
		return nil
	}
	id := identify(fi)
	if r.finished[jf.id] {
		f.Close()
		r.dull[name] = id
		return nil
	}
	r.opened, r.open[id] = true, true
	r.sources = append(r.sources, &source{os: f, id: id, dir: filepath.Dir(name), file: jf})
	return nil
}

func (r *Reader) known(name string, id fileID) bool {
	dull, ok := r.dull[name]
	return r.open[id] || ok && dull == id
}

// Pending returns the number of entries that are visible and not read yet.
func (r *Reader) Pending() (n uint64) {
	dir := ""
	for _, s := range r.sources {
		more := s.count() - s.next
		if more > 0 && dir != "" && dir != s.dir {
			return r.distinct()
		}
		if n += more; more > 0 {
			dir = s.dir
		}
	}
	return n
}

// SkipAll goes behind the last visible entry, and lets go of memory that reading took.
func (r *Reader) SkipAll() {
	for _, s := range r.sources {
		s.seek(s.count())
	}
	r.rest()
	for _, s := range r.sources {
		s.file.forget()
	}
}

// Rewind goes before the first entry.
func (r *Reader) Rewind() {
	r.last = place{}
	for _, s := range r.sources {
		s.seek(0)
		s.told = false
	}
}

// Next reads the next visible entry; ok is false if there is none, or if it may
// not be finished yet, which Unsettled tells. An error of type ErrDamaged or
// ErrRemoved stands for entries that were skipped: reading goes on with the next
// call.
func (r *Reader) Next(e *Entry) (ok bool, err error) {
	r.unsettled = false
	var first *source
	for _, s := range r.sources {
		switch err := r.load(s); {
		case errors.Is(err, errUnsettled): // what is to come may be before what others have
			r.unsettled = true
			return false, nil
		case err != nil:
			return true, err
		}
		if s.next < s.count() && (first == nil || s.head.Before(&first.head)) {
			first = s
		}
	}
	if first == nil {
		return false, nil
	}
	*e = first.head
	r.last = place{*e, first.dir}
	for _, s := range r.sources { // one that was copied counts once
		if s.headOK && s.head.same(e) {
			s.seek(s.next + 1)
		}
	}
	return true, nil
}

// Unsettled tells that the last Next or Tail met an entry at the end of a file
// that cannot be read and may not be finished. To Refresh and to try again after a
// short while helps: after settleTime at most, it is taken for damaged.
func (r *Reader) Unsettled() bool { return r.unsettled }

// Position returns where the reader is.
func (r *Reader) Position() Position {
	p := make(Position, len(r.sources))
	for _, s := range r.sources {
		p[s.file.id] = s.next
	}
	return p
}

// Forward goes to p unless the reader is behind it already.
func (r *Reader) Forward(p Position) {
	for _, s := range r.sources {
		s.seek(max(s.next, min(p[s.file.id], s.count())))
	}
}

// Tail goes to where n visible entries that can be read, or all if there are fewer,
// follow. If Unsettled is true then, there may be one more.
func (r *Reader) Tail(n int) {
	r.SkipAll()
	r.last = place{}
	r.unsettled = false
	for _, s := range r.sources {
		r.unsettled = r.unsettled || n > 0 && s.unfinished()
	}
	lasts, budget := make(map[*source]previous), maxDamage
	for _, s := range r.sources {
		lasts[s] = s.previous(&budget)
	}
	for ; n > 0; n-- {
		var latest *source
		var last previous
		for _, s := range r.sources {
			if p := lasts[s]; p.back > 0 && (latest == nil || last.Before(&p.Entry)) {
				latest, last = s, p
			}
		}
		if latest == nil {
			return
		}
		latest.seek(latest.next - last.back)
		lasts[latest] = latest.previous(&budget)
	}
}

// Seek goes to the first visible entry for which after is true, given that it is
// true for all that follow.
func (r *Reader) Seek(after func(*Entry) bool) {
	r.last = place{}
	for _, s := range r.sources {
		if s.series == nil {
			continue
		}
		i, _ := s.series.search(after) // damage shows when it is read
		s.seek(i)
	}
}

// Sync makes everything that is visible survive a loss of power.
func (r *Reader) Sync() error {
	for _, s := range r.sources {
		if s.series == nil || s.file.archived() {
			continue // journald syncs what it archives
		}
		if err := s.os.Sync(); err != nil {
			return fmt.Errorf("sync journal: %w", err)
		}
	}
	return nil
}
