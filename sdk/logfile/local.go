package logfile

import "slices"

// local tracks a writer of this process.
type local struct{ l *Log }

func (t local) snapshot() ([]*generation, error) {
	l := t.l
	l.files.RLock()
	defer l.files.RUnlock()
	gens, err := t.open()
	if err != nil {
		return nil, err
	}
	pos := l.pub.get()
	if n := len(gens); n > 0 && gens[n-1].name == l.cfg.Path {
		size, err := gens[n-1].sizeNow()
		if err != nil {
			closeAll(gens)
			return nil, err
		}
		gens[n-1].gen, gens[n-1].size = pos.gen, min(pos.size, size) // others may have truncated it
	}
	for _, g := range gens {
		g.usableIndex()
	}
	return gens, nil
}

// open opens the files that the writer keeps.
func (t local) open() ([]*generation, error) {
	l := t.l
	if l.names.numbered {
		return l.names.openNumbered(len(l.slots))
	}
	return l.names.openSlotsWhile(func(slot, _ int) bool { return slot <= len(l.slots) })
}

func (t local) state(g *generation) (state, <-chan struct{}, error) {
	pos, wake := t.l.pub.watch()
	switch {
	case pos.gen != g.gen:
		return rotated, wake, nil
	case pos.closed:
		return ended, wake, nil
	}
	return growing, wake, nil
}

func (t local) limit(g *generation) func() int64 {
	return func() int64 {
		if pos := t.l.pub.get(); pos.gen == g.gen {
			return pos.size
		}
		return noLimit()
	}
}

func (t local) next(g *generation) (*generation, error) {
	l := t.l
	l.files.RLock()
	defer l.files.RUnlock()
	want, key := g.gen+1, uint64(0)
	if want != l.pub.get().gen {
		slot := slices.Index(l.slots, want) + 1
		if slot == 0 {
			return nil, gapError(l.cfg.Path)
		}
		key = l.key(slot)
	}
	n, err := l.names.open(key)
	if n == nil && err == nil {
		err = gapError(l.cfg.Path)
	}
	if err == nil {
		n.gen = want
	}
	return n, err
}

func (t local) alive() (bool, error) { return !t.l.pub.get().closed, nil }

func (t local) close() {}
