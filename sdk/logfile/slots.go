package logfile

import (
	"cmp"
	"slices"
)

// maxProbes bounds the search for files behind a gap in the slots, which nothing
// but a person can have made.
const maxProbes = 64

// openAll opens the files that there are, with indexes, and returns the oldest first.
func (n names) openAll(atLeast int) ([]*generation, error) {
	if n.numbered {
		return n.openNumbered(atLeast)
	}
	return n.openSlots(atLeast)
}

// openSlots opens what is in the slots.
func (n names) openSlots(atLeast int) ([]*generation, error) {
	return n.openSlotsWhile(func(slot, holes int) bool { return slot <= min(atLeast, maxProbes) || holes < 2 })
}

// openSlotsWhile opens what is in the slots up to the first that is not to be looked
// into. A file that moves up meanwhile is found, if need be twice, because the search
// goes in the direction of the moves.
func (n names) openSlotsWhile(look func(slot, holes int) bool) ([]*generation, error) {
	var gens []*generation
	var indexes []*index
	for slot, holes := 0, 0; look(slot, holes); slot++ {
		key := uint64(slot)
		g, err := n.open(key)
		if err != nil {
			closeAll(gens)
			closeIndexes(indexes)
			return nil, err
		}
		if x, err := openIndex(n.index(key)); err == nil {
			indexes = addIndex(indexes, x)
		}
		if g == nil {
			holes++
			continue
		}
		holes = 0
		gens = addFile(gens, g)
	}
	match(gens, indexes)
	gens = distinct(gens)
	slices.Reverse(gens)
	return gens, nil
}

// openNumbered opens the current file, whose index tells its generation, and those
// before. Their names last, so that no more than one can be found twice: the
// current one, if it gets its lasting name meanwhile. It is the only one whose
// generation may be unknown.
func (n names) openNumbered(atLeast int) ([]*generation, error) {
	cur, err := n.openIndexed(0)
	if err != nil {
		return nil, err
	}
	var top uint64
	if cur != nil && cur.gen != 0 {
		top = cur.gen - 1
	} else if top, err = n.newest(); err != nil {
		cur.close()
		return nil, err
	}
	var gens []*generation
	for key, holes := top, 0; key > 0 && (top-key < uint64(min(atLeast, maxProbes)) || holes < 2); key-- {
		g, err := n.openIndexed(key)
		if err != nil {
			closeAll(append(gens, cur))
			return nil, err
		}
		if g == nil {
			holes++
			continue
		}
		holes = 0
		if cur != nil && g.self == cur.self {
			cur.close()
			cur = nil
		}
		gens = append(gens, g)
	}
	slices.Reverse(gens)
	if cur != nil {
		gens = append(gens, cur)
	}
	return gens, nil
}

// openIndexed opens the file with the given key, nil if there is none, and its index.
func (n names) openIndexed(key uint64) (*generation, error) {
	g, err := n.open(key)
	if g == nil || err != nil {
		return nil, err
	}
	if x, err := openIndex(n.index(key)); err == nil && !g.adopt(x) {
		x.close()
	}
	return g, nil
}

// addFile appends g. Where it was seen before it has been moved since, and what lies
// between is newer: its later place is the right one.
func addFile(gens []*generation, g *generation) []*generation {
	if i := slices.IndexFunc(gens, func(o *generation) bool { return o.self == g.self }); i >= 0 {
		gens[i].close()
		gens = slices.Delete(gens, i, i+1)
	}
	return append(gens, g)
}

func addIndex(indexes []*index, x *index) []*index {
	if slices.ContainsFunc(indexes, func(o *index) bool { return o.gen == x.gen && o.id == x.id }) {
		x.close()
		return indexes
	}
	return append(indexes, x)
}

// match gives each generation its index. An index is renamed apart from its file,
// so that it is recognised by what it describes. The number of an inode is used
// again once the file that had it is compressed: compressed files, which tell their
// generation, go first.
func match(gens []*generation, indexes []*index) {
	for _, packed := range []bool{true, false} {
		for i, x := range indexes {
			if x != nil && slices.ContainsFunc(gens, func(g *generation) bool { return g.packed == packed && g.adopt(x) }) {
				indexes[i] = nil
			}
		}
	}
	closeIndexes(indexes)
}

func closeIndexes(indexes []*index) {
	for _, x := range indexes {
		x.close()
	}
}

// distinct leaves out a compressed file that was found beside the file that it
// was made of, and puts the newest first.
func distinct(gens []*generation) []*generation {
	same := func(a, b *generation) bool { return a.gen == b.gen }
	if slices.ContainsFunc(gens, func(g *generation) bool { return g.gen == 0 }) {
		// Files that follow one another exist at the same time before either is
		// compressed, so that they do not share an inode.
		same = func(a, b *generation) bool { return a.id != (fileID{}) && a.id == b.id }
	} else {
		slices.SortStableFunc(gens, func(a, b *generation) int { return cmp.Compare(b.gen, a.gen) })
	}
	var kept []*generation
	for _, g := range gens {
		if n := len(kept); n > 0 && same(kept[n-1], g) {
			g.close()
			continue
		}
		kept = append(kept, g)
	}
	return kept
}
