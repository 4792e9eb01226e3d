package journal

// When the disk is there, journald copies what it has kept in /run until then to
// another directory, with new numbers, goes on there, and removes the former files.

// place is an entry, and the directory of its file.
type place struct {
	Entry
	dir string
}

// rest notes which entry is the last one before those to come.
func (r *Reader) rest() {
	budget := maxDamage
	for _, s := range r.sources {
		if p := s.previous(&budget); p.back > 0 && (r.last.dir == "" || r.last.Before(&p.Entry)) {
			r.last = place{p.Entry, s.dir}
		}
	}
}

// isCopy tells that an entry in a directory is one of another directory that was read: an
// entry that is new there would be later.
func (r *Reader) isCopy(e *Entry, dir string) bool {
	return r.last.dir != "" && r.last.dir != dir && r.last.Boot == e.Boot && e.Monotonic <= r.last.Monotonic
}

// load loads the next entry of a file that is not a copy of one that was read.
func (r *Reader) load(s *source) error {
	for {
		if err := s.load(); err != nil || !s.headOK || !r.isCopy(&s.head, s.dir) {
			return err
		}
		s.seek(s.next + 1)
	}
}

// skipCopies skips what load would.
func (r *Reader) skipCopies(s *source) {
	var e Entry
	for r.last.dir != "" && r.last.dir != s.dir && s.next < s.count() {
		if s.series.entry(s.next, &e) != nil || !r.isCopy(&e, s.dir) {
			return
		}
		s.seek(s.next + 1)
	}
}

// distinct counts the entries to come, those with copies once.
func (r *Reader) distinct() uint64 {
	seen := make(map[identity]bool)
	for _, s := range r.sources {
		for i := s.next; i < s.count(); i++ {
			var e Entry
			if s.series.entry(i, &e) == nil {
				seen[e.identity()] = true
			}
		}
	}
	return uint64(len(seen))
}
