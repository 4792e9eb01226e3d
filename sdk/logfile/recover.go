package logfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"
	"strings"
)

// recover opens the current file and finds out where it ends.
func (l *Log) recover() error {
	for _, name := range []string{l.names.fresh(), l.names.freshIndex(), l.names.packedTemp(), l.names.indexTemp()} {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	f, err := openCurrent(l.cfg.Path)
	if err != nil {
		return err
	}
	l.cur.f = osFile{f}
	if err := l.recoverFrom(f); err != nil {
		l.cur.idx.close()
		f.Close()
		return err
	}
	return nil
}

func openCurrent(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE, fileMode)
	if err != nil {
		return nil, err
	}
	fi, err := f.Stat()
	if err == nil && !fi.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", path)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (l *Log) recoverFrom(f *os.File) error {
	if err := l.names.undoMove(); err != nil {
		return err
	}
	gens, err := l.names.openAll(l.cfg.MaxFiles)
	if err != nil {
		return err
	}
	defer closeAll(gens)
	if len(gens) == 0 || gens[len(gens)-1].name != l.cfg.Path {
		return fmt.Errorf("%s was removed while it was opened; try again", l.cfg.Path)
	}
	for _, g := range gens {
		g.usableIndex()
	}
	cur := gens[len(gens)-1]
	l.slots, l.cur.gen, err = l.names.findSlots(gens)
	if err != nil {
		return err
	}
	l.cur.id = cur.id
	if l.lastSeq, err = lastSeq(l.cfg.Format, gens, l.stream); err != nil {
		return err
	}
	if err := l.measure(cur); err != nil {
		return err
	}
	l.separate()
	l.cur.stream, l.cur.nextSeq = l.stream, l.lastSeq+1
	if err := l.cur.addEntry(); err != nil {
		l.cur.nextSeq = unclaimed
	}
	l.publish()
	return nil
}

// undoMove gives the current file back its index, if a process was killed between
// the two renames that were to give both their lasting names. The number is that of
// the index: there may be no older file to count from.
func (n names) undoMove() error {
	if !n.numbered {
		return nil // any index near by is recognised by what it describes
	}
	if _, err := os.Lstat(n.index(0)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	key, err := n.newestIndex()
	if err != nil {
		return err
	}
	if _, err := n.modified(key); !errors.Is(err, fs.ErrNotExist) {
		return err // it has its file
	}
	x, err := openIndex(n.index(key))
	if err != nil {
		return nil // there is none
	}
	defer x.close()
	fi, err := os.Stat(n.path)
	if err != nil || x.gen != key || x.id != identify(fi) {
		return err
	}
	return os.Rename(n.index(key), n.index(0))
}

// findSlots returns the generations in slots 1 and up, and that of the
// current file, which is the last of gens.
func (n names) findSlots(gens []*generation) ([]uint64, uint64, error) {
	if err := n.removeHalves(gens); err != nil {
		return nil, 0, err
	}
	var slots []uint64
	if n.numbered {
		for _, g := range slices.Backward(gens[:len(gens)-1]) {
			slots = append(slots, g.gen)
		}
		newest := gens[len(gens)-1].gen
		if newest == 0 {
			newest = slices.Max(append(slots, 0)) + 1
		}
		return slots, newest, nil
	}
	byName := map[string]uint64{}
	for _, g := range gens {
		name := g.name
		if g.packed {
			name = strings.TrimSuffix(name, n.codec.ext())
		}
		byName[name] = g.gen
	}
	newest := byName[n.path]
	for slot := uint64(1); len(byName) > 1; slot++ { // it holds the current file to the end
		gen, there := byName[n.file(slot)]
		delete(byName, n.file(slot))
		if there && gen == 0 {
			gen = unknownGeneration
		}
		slots = append(slots, gen)
	}
	return number(slots, newest)
}

// removeHalves removes compressed files beside those that they are made of. They may
// be incomplete: Docker writes them in place.
func (n names) removeHalves(gens []*generation) error {
	for _, g := range gens {
		if g.packed || g.name == n.path {
			continue
		}
		if err := os.Remove(g.name + n.codec.ext()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// unknownGeneration stands for a file that is there and whose number is not known.
const unknownGeneration = math.MaxUint64

// number gives numbers to the files that have none, and to the current one.
func number(slots []uint64, newest uint64) ([]uint64, uint64, error) {
	if newest == 0 {
		newest = uint64(len(slots)) + 1
		for i, gen := range slots {
			if gen != unknownGeneration && gen != 0 {
				newest = max(newest, gen+uint64(i)+1)
			}
		}
	}
	for i, gen := range slots {
		if gen == unknownGeneration {
			slots[i] = newest - min(uint64(i)+1, newest-1)
		}
	}
	return slots, newest, nil
}

// measure goes through what the index does not know of the current file, and
// brings the index up to date.
func (l *Log) measure(g *generation) error {
	from, err := l.openIndex(g)
	if err != nil {
		l.cfg.OnError(err)
	}
	p := pos{size: g.size, maxTime: from.maxTime, records: from.records, nextSeq: from.seq, indexed: from.offset}
	l.cur.stream = from.stream
	if l.cur.idx != nil {
		p.entries = l.cur.idx.n
	} else if g.size > 0 {
		p.maxTime = math.MaxInt64
		l.cur.pos = p
		return l.checkEnd(g)
	}
	l.cur.pos = p
	return l.measureFrom(g, from)
}

// openIndex opens the index of the current file for writing, or creates it, unless the
// file is too large for that. It returns the entry to go on from.
func (l *Log) openIndex(g *generation) (entry, error) {
	name := l.names.index(0)
	if g.idx != nil {
		from, err := g.idx.at(g.idx.n - 1)
		if err == nil {
			var f *os.File
			if f, err = os.OpenFile(name, os.O_RDWR, 0); err == nil {
				l.cur.idx = &indexWriter{f: f}
				err = l.cur.idx.truncate(g.idx.n)
			}
		}
		if err == nil {
			return from, nil
		}
	}
	l.cur.idx.close()
	l.cur.idx = nil
	if g.size > l.cfg.maxRebuild {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return firstEntry(), err
		}
		return firstEntry(), nil
	}
	idx, err := createIndex(name, l.cur.gen, g.id)
	l.cur.idx = idx
	return firstEntry(), err
}

// measureFrom counts the records that follow an entry. They belong to the stream that
// the entry names.
func (l *Log) measureFrom(g *generation, from entry) error {
	sc := newScanner(l.cfg.Format, &fileSource{f: g.f, off: from.offset, limit: fixedLimit(g.size)}, from.offset)
	v := newValidator(l.cfg.Format)
	defer v.close()
	if err := l.cur.recount(sc, v, l.cfg.OnError); err != nil {
		return err
	}
	if rest := sc.rest(); len(rest.data) > 0 || rest.tooLong > 0 {
		l.cur.needsSeparator = true
		if v.valid(rest.data) {
			l.cur.count(v.msg)
		}
	}
	l.cur.size = g.size
	return nil
}

// recount counts the records up to the end of what sc reads. Which sequences those after
// damage have is not known. An index that cannot be extended has fewer entries, no more,
// which report is told of.
func (c *current) recount(sc *scanner, v *validator, report func(error)) error {
	var failed error
	for {
		fr, err := sc.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		lost := false
		if v.valid(fr.data) {
			c.count(v.msg)
		} else if lost = c.nextSeq != 0 && v.damaged(fr); lost {
			c.nextSeq = 0
		}
		if c.size = sc.off; (lost || c.size-c.indexed >= indexSpacing) && failed == nil {
			if failed = c.addEntry(); failed != nil {
				report(failed)
			}
		}
	}
}

// checkEnd finds out whether the file ends with a whole record.
func (l *Log) checkEnd(g *generation) error {
	fr, err := newBackward(l.cfg.Format, g.f, g.size).prev()
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return err
	}
	l.cur.needsSeparator = l.cfg.Format.Next(fr.data) != len(fr.data)
	return nil
}

// separate ends an incomplete record, so that readers need not wait for the
// next message to know about it. If that fails, the next write does it.
func (l *Log) separate() {
	if !l.cur.needsSeparator {
		return
	}
	sep := l.cfg.Format.Separator()
	n, err := l.cur.f.Write(sep)
	if err != nil {
		if l.cur.f.Truncate(l.cur.size) != nil {
			l.cur.torn = n > 0
		}
		return
	}
	l.cur.size += int64(n)
	l.cur.needsSeparator = false
}

// resume takes note of what another program did to the current file: truncate
// it, or append to it.
func (l *Log) resume() error {
	next := l.cur.nextSeq
	l.enc = l.cfg.Format.NewEncoder()
	l.cur.idx.close()
	l.cur.idx = nil
	g, err := l.names.open(0)
	if err != nil {
		return err
	}
	if g == nil || g.id != l.cur.id {
		g.close()
		return l.replace(true)
	}
	defer g.close()
	if x, err := openIndex(l.names.index(0)); err == nil && !g.adopt(x) {
		x.close()
	}
	g.usableIndex()
	if err := l.measure(g); err != nil {
		return err
	}
	l.separate()
	l.cur.stream, l.cur.nextSeq = l.stream, next
	if err := l.cur.addEntry(); err != nil {
		l.cur.nextSeq = unclaimed
	}
	l.publish()
	return nil
}
