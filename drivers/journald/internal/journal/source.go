package journal

import (
	"errors"
	"fmt"
	"math"
	"os"
	"time"
)

const (
	// settleTime is how long what journald has made visible may look damaged
	// before it is taken for that. journald finishes an entry before it counts it, so
	// this is for what comes between in spite of that.
	settleTime = 2 * time.Second
	// maxDamage is how many damaged entries are skipped before what follows, or precedes
	// them in the same file, is given up.
	maxDamage = 1000
)

// errUnsettled reports an entry that journald may not have finished.
var errUnsettled = errors.New("the entry may not be finished")

// source is a file with entries to read, or one that may get some.
type source struct {
	os       *os.File
	id       fileID
	dir      string
	file     *file
	complete bool    // journald has finished the file
	series   *series // nil while the file has no such entry
	next     uint64  // index of the next entry

	head   Entry // the entry with index next, if headOK
	headOK bool

	trouble error // why the last refresh could not tell which entries there are
	told    bool  // trouble was reported
	doubt   doubt
}

// doubt is about entries at the end of a file, which cannot be read.
type doubt struct {
	first, end uint64    // their indexes
	since      time.Time // zero if there is none
}

// wholeList stands for the index of an entry where the list of all is in doubt.
const wholeList = math.MaxUint64

func (s *source) close() {
	s.file.forget()
	s.os.Close()
}

// refresh updates what is known of the file. Damage shows when entries are read.
func (s *source) refresh(match []byte) {
	if s.complete {
		return
	}
	s.complete = s.file.archived() || s.removed() // and what is read afterwards is all of it
	s.file.cache.drop()
	if s.trouble = s.index(match); s.trouble == nil {
		s.told = false
		if s.doubt.first == wholeList {
			s.doubt = doubt{}
		}
	}
}

// index finds out which entries there are.
func (s *source) index(match []byte) error {
	if s.series == nil {
		data, err := s.file.find(match)
		if err != nil || data == 0 {
			return err
		}
		s.series = &series{f: s.file, data: data}
	}
	known := s.series.count
	if err := s.series.refresh(); err != nil || known > 0 || s.series.count == 0 {
		return err
	}
	return s.file.renew() // systemd 254 and later sets it with the first entry
}

// useless tells that there is nothing to read in the file, and never will be.
func (s *source) useless() bool {
	return s.complete && s.series == nil && (s.trouble == nil || s.told)
}

// exhausted tells that everything in the file was read, and nothing will follow.
func (s *source) exhausted() bool {
	return s.complete && s.next >= s.count() && (s.trouble == nil || s.told)
}

// spent tells that the file was read and is gone.
func (s *source) spent() bool { return s.complete && s.next >= s.count() && s.removed() }

func (s *source) count() uint64 {
	if s.series == nil {
		return 0
	}
	return s.series.count
}

func (s *source) seek(i uint64) {
	if i != s.next {
		s.next, s.headOK = i, false
	}
}

// load reads the entry at s.next. After an error that is not errUnsettled, s.next is
// behind what could not be read.
func (s *source) load() error {
	switch {
	case s.trouble != nil && !s.told:
		return s.tell()
	case s.headOK || s.next >= s.count():
		return nil
	}
	whole := s.growsAfter(s.next)
	if s.headOK = s.read(s.next, &s.head, whole); s.headOK {
		return nil
	}
	end := s.unreadable()
	// Whatever precedes an entry that was written is finished, and seen so now.
	s.file.drop()
	if s.headOK = s.read(s.next, &s.head, whole); s.headOK {
		return nil
	}
	removed := s.removed()
	if end == s.count() && !removed {
		if s.settling(s.next, end) {
			return errUnsettled
		}
		end = min(end, s.doubt.end) // what came since has its own time
	}
	if s.headOK = s.read(s.next, &s.head, false); s.headOK {
		return nil // and it tells itself which of its fields are damaged
	}
	n := end - s.next
	s.next = end
	if removed {
		n, s.next = n+s.count()-end, s.count()
		return fmt.Errorf("%w: %d of %s", ErrRemoved, n, s.os.Name())
	}
	return fmt.Errorf("%w: %d entries of %s cannot be read", ErrDamaged, n, s.os.Name())
}

// tell reports trouble once, if it lasts.
func (s *source) tell() error {
	switch removed := s.removed(); {
	case removed && s.series == nil: // it is not known to have had entries
		s.told = true
		return nil
	case removed:
		s.told, s.headOK, s.next = true, false, s.count()
		return fmt.Errorf("%w: those of %s", ErrRemoved, s.os.Name())
	case s.settling(wholeList, wholeList):
		return errUnsettled
	}
	s.told = true
	return fmt.Errorf("%w: the list of the log's entries in %s: %w", ErrDamaged, s.os.Name(), s.trouble)
}

// growsAfter tells that the entry with index i is the last one, in a file that
// journald writes.
func (s *source) growsAfter(i uint64) bool { return !s.complete && i+1 == s.count() }

// read reads the entry with index i. It tells whether that succeeds, with all its
// fields if whole.
func (s *source) read(i uint64, e *Entry, whole bool) bool {
	if s.series.entry(i, e) != nil {
		return false
	}
	return !whole || e.Fields(func(_, _ []byte) bool { return true }) == nil
}

// unreadable returns the index of the next entry after s.next that can be read.
func (s *source) unreadable() (end uint64) {
	var e Entry
	for end = s.next + 1; end < s.count(); end++ {
		if _, err := s.series.offset(end); err != nil || end-s.next > maxDamage {
			return s.count() // the list itself is damaged
		}
		if s.read(end, &e, false) {
			break
		}
	}
	return end
}

// settling tells that the entries from first to the end of the file, which cannot be
// read, may not be finished.
func (s *source) settling(first, end uint64) bool {
	if s.complete {
		s.doubt = doubt{first: first, end: end}
		return false
	}
	if s.doubt.since.IsZero() || s.doubt.first != first {
		s.doubt = doubt{first: first, end: end, since: time.Now()}
	}
	return time.Since(s.doubt.since) < settleTime
}

// unfinished tells that the last entry cannot be read yet.
func (s *source) unfinished() bool {
	var e Entry
	last := s.count() - 1
	if s.count() == 0 || s.read(last, &e, s.growsAfter(last)) {
		return false
	}
	s.file.drop()
	return !s.read(last, &e, s.growsAfter(last)) && s.settling(last, s.count())
}

// removed tells that the file was deleted: journald empties it first.
func (s *source) removed() bool {
	fi, err := s.os.Stat()
	return err == nil && links(fi) == 0
}

// previous is an entry before the next one.
type previous struct {
	Entry
	back uint64 // how far before; 0 if there is none
}

// previous looks for the entry before the next one. budget is how many damaged
// ones may be skipped.
func (s *source) previous(budget *int) (p previous) {
	for p.back = 1; p.back <= s.next; p.back++ {
		if s.series.entry(s.next-p.back, &p.Entry) == nil {
			return p
		}
		if *budget--; *budget < 0 {
			break
		}
	}
	return previous{}
}
