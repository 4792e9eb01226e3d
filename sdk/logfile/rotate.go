package logfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// rotate goes on with a new file. Until the new file is ready nothing is
// changed, so that after an error it can be tried again.
func (l *Log) rotate() error {
	if err := l.mark(); err != nil {
		l.cfg.OnError(err)
	}
	if l.cfg.Sync != SyncNone {
		if err := l.makeDurable(); err != nil {
			return fmt.Errorf("rotate: the full file: %w", err)
		}
	}
	old := l.cur
	if err := l.begin(true); err != nil {
		return fmt.Errorf("rotate: %w", err)
	}
	old.idx.close()
	if err := old.f.Close(); err != nil {
		l.cfg.OnError(err)
	}
	l.retention.check(l)
	if l.cfg.Compress && l.cfg.MaxFiles > 1 {
		l.compressor.start(l)
	}
	return nil
}

// replace goes on with a new file because the current one has been removed. Where
// somebody put another file in its place, that one is kept if shift is true.
func (l *Log) replace(shift bool) error {
	old := l.cur
	if err := l.begin(shift); err != nil {
		return fmt.Errorf("write a new file in place of one that was removed: %w", err)
	}
	old.idx.close()
	old.f.Close()
	return nil
}

// begin makes a new file the current one. The index gets its name before its file
// does, so that a reader that sees the file can know its number.
func (l *Log) begin(shift bool) error {
	f, err := os.OpenFile(l.names.fresh(), os.O_RDWR|os.O_APPEND|os.O_CREATE|os.O_TRUNC, fileMode)
	if err != nil {
		return err
	}
	cur, err := l.prepare(f)
	if err == nil {
		err = l.install(&cur, shift)
	}
	if err != nil {
		cur.idx.close()
		f.Close()
		os.Remove(l.names.fresh())
		os.Remove(l.names.freshIndex())
		return err
	}
	if l.cfg.Sync != SyncNone {
		if err := syncDir(filepath.Dir(l.cfg.Path)); err != nil {
			l.cfg.OnError(err)
		}
	}
	return nil
}

// prepare describes a new, empty file, with an index where there can be one.
func (l *Log) prepare(f *os.File) (current, error) {
	fi, err := f.Stat()
	if err != nil {
		return current{}, err
	}
	cur := current{f: osFile{f}, gen: l.cur.gen + 1, id: identify(fi), stream: l.stream}
	cur.maxTime, cur.nextSeq = firstEntry().maxTime, l.cur.nextSeq
	cur.idx, err = createIndex(l.names.freshIndex(), cur.gen, cur.id)
	if err != nil {
		return cur, err
	}
	e := entry{maxTime: cur.maxTime, seq: cur.claim(), stream: l.stream}
	if err := cur.idx.add(&e); err != nil {
		return cur, err
	}
	cur.entries = cur.idx.n
	return cur, nil
}

// install gives the new files their names.
func (l *Log) install(cur *current, shift bool) error {
	l.files.Lock()
	defer l.files.Unlock()
	if shift {
		if err := l.shift(); err != nil {
			return err
		}
	}
	if err := os.Rename(l.names.freshIndex(), l.names.index(0)); err != nil {
		return err
	}
	if err := os.Rename(l.names.fresh(), l.names.path); err != nil {
		return err
	}
	l.becomesFull(l.cur.gen)
	l.cur, l.enc = *cur, l.cfg.Format.NewEncoder()
	l.publish()
	return nil
}

// shift moves the current file to slot 1, and the others up as far as
// needed. With one file there is no slot: the new file replaces the current one.
func (l *Log) shift() error {
	if len(l.slots) > 0 && l.slots[0] == l.cur.gen { // already, by a rotation that failed later
		return nil
	}
	last := l.cfg.MaxFiles - 1
	if err := l.keep(last); err != nil || last == 0 { // there may be more from an earlier run
		return err
	}
	if l.names.numbered {
		return l.shiftNumbered(last)
	}
	free := slices.Index(l.slots, 0) + 1
	switch {
	case free > 0:
	case len(l.slots) < last:
		l.slots = append(l.slots, 0)
		free = len(l.slots)
	default:
		if err := l.names.remove(uint64(last)); err != nil {
			return err
		}
		l.slots[last-1] = 0
		free = last
	}
	for slot := free; slot > 1; slot-- {
		if err := l.move(uint64(slot-1), uint64(slot)); err != nil {
			return err
		}
		l.slots[slot-1], l.slots[slot-2] = l.slots[slot-2], 0
	}
	if err := l.move(0, 1); err != nil {
		return err
	}
	l.slots[0] = l.cur.gen
	return nil
}

// shiftNumbered moves the current file to its lasting name.
func (l *Log) shiftNumbered(last int) error {
	if err := l.keep(last - 1); err != nil {
		return err
	}
	if err := l.move(0, l.cur.gen); err != nil {
		return err
	}
	l.slots = slices.Insert(l.slots, 0, l.cur.gen)
	return nil
}

// keep removes all older files but the newest n.
func (l *Log) keep(n int) error {
	for slot := len(l.slots); slot > n; slot-- {
		if err := l.names.remove(l.key(slot)); err != nil {
			return err
		}
		l.slots = l.slots[:slot-1]
	}
	return nil
}

// move renames what has a key: an index, and a file that is compressed or not.
// The index goes first: where it is missing, its file is read without it.
func (l *Log) move(from, to uint64) error {
	n := l.names
	if _, err := rename(n.index(from), n.index(to)); err != nil {
		return err
	}
	moved, err := rename(n.file(from), n.file(to))
	if err != nil || moved || from == 0 {
		return err
	}
	_, err = rename(n.packed(from), n.packed(to))
	return err
}

// rename tells whether there was a file to rename.
func rename(from, to string) (bool, error) {
	err := os.Rename(from, to)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
