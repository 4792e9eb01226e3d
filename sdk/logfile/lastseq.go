package logfile

// lastSeq returns up to which sequence everything of a stream is held in gens,
// the newest of which comes last. It counts from the last entry that speaks of the
// stream to the next one of another stream, or to the end.
func lastSeq(f Format, gens []*generation, stream uint64) (uint64, error) {
	for i := len(gens) - 1; i >= 0; i-- {
		g := gens[i]
		if g.idx == nil {
			continue
		}
		for n := g.idx.n - 1; n >= 0; n-- {
			e, err := g.idx.at(n)
			if err != nil {
				return 0, nil // no claim
			}
			if e.stream == stream {
				return g.claimed(f, e, n)
			}
		}
	}
	return 0, nil
}

// claimed returns the last sequence that the entry with number n stands for.
func (g *generation) claimed(f Format, e entry, n int) (uint64, error) {
	if e.seq == 0 || e.seq == unclaimed {
		return 0, nil
	}
	if n+1 < g.idx.n {
		next, err := g.idx.at(n + 1)
		if err != nil || next.records < e.records {
			return 0, nil
		}
		return e.seq - 1 + next.records - e.records, nil
	}
	held, err := g.unbroken(f, e.offset)
	if err != nil {
		return 0, err
	}
	return e.seq - 1 + held, nil
}

// unbroken returns how many records there are from an offset to the end or to the first
// damage. That may be records which the power took with it, and what follows has later
// sequences than can be counted.
func (g *generation) unbroken(f Format, off int64) (n uint64, err error) {
	err = g.frames(f, off, func(fr frame, v *validator) bool {
		ok := v.valid(fr.data)
		if ok {
			n++
		}
		return ok || !v.damaged(fr)
	})
	return n, err
}
