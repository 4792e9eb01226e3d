package logfile

import (
	"errors"
	"io"
	"time"

	"github.com/logplug/logplug/shared/logdriver"
)

// place is somewhere in a log: a generation, counted from the oldest, and
// an offset in it.
type place struct {
	gen int
	off int64
}

func (p place) before(q place) bool {
	return p.gen < q.gen || p.gen == q.gen && p.off < q.off
}

// maxBackward is the number of records up to which the end of a file is read
// backwards although there is an index.
const maxBackward = 2048

// seekTail returns where the last n records of gens start.
func seekTail(f Format, gens []*generation, n int) (place, error) {
	if n == 0 && gens[len(gens)-1].packed { // whose size is not known
		return place{gen: len(gens)}, nil
	}
	for i := len(gens) - 1; i >= 0; i-- {
		g := gens[i]
		off, found, err := g.tail(f, n)
		if err != nil {
			return place{}, err
		}
		if found >= n {
			return place{i, off}, nil
		}
		n -= found
	}
	return place{}, nil
}

// tail returns where the last n records start, or how many there are if there
// are fewer.
func (g *generation) tail(f Format, n int) (off int64, found int, err error) {
	switch {
	case g.packed && g.idx == nil:
		return g.tailForward(f, n, firstEntry())
	case g.packed || g.idx != nil && n > maxBackward:
		return g.tailIndexed(f, n)
	default:
		return g.tailBackward(f, n)
	}
}

func (g *generation) tailBackward(f Format, n int) (int64, int, error) {
	b, v := newBackward(f, g.f, g.size), newValidator(f)
	defer v.close()
	off := g.size
	for found := 0; ; {
		if found == n {
			return off, found, nil
		}
		fr, err := b.prev()
		if errors.Is(err, io.EOF) {
			return 0, found, nil
		}
		if err != nil {
			return 0, 0, err
		}
		if v.valid(fr.data) {
			found, off = found+1, fr.off
		}
	}
}

// tailIndexed counts what follows the last entry, and then finds the entry from
// which it is near to the record that is looked for.
func (g *generation) tailIndexed(f Format, n int) (int64, int, error) {
	last, err := g.idx.at(g.idx.n - 1)
	if err != nil {
		return g.tailForward(f, n, firstEntry())
	}
	total, err := g.count(f, last)
	if err != nil || uint64(n) > total {
		return 0, int(total), err
	}
	target := total - uint64(n)
	i, err := g.idx.search(func(e *entry) bool { return e.records > target })
	from := firstEntry()
	if err == nil && i > 0 {
		from, err = g.idx.at(i - 1)
	}
	if err != nil {
		from = firstEntry()
	}
	off, err := g.skip(f, from, target)
	return off, n, err
}

func (g *generation) tailForward(f Format, n int, from entry) (int64, int, error) {
	total, err := g.count(f, from)
	if err != nil || uint64(n) > total {
		return 0, int(total), err
	}
	off, err := g.skip(f, from, total-uint64(n))
	return off, n, err
}

// count returns the number of records of the file, going on from an entry.
func (g *generation) count(f Format, from entry) (uint64, error) {
	n := from.records
	err := g.records(f, from.offset, func(int64) bool { n++; return true })
	return n, err
}

// skip returns the offset of the record with the given number, from 0.
func (g *generation) skip(f Format, from entry, number uint64) (int64, error) {
	n, at := from.records, int64(-1)
	err := g.records(f, from.offset, func(off int64) bool {
		at = off
		n++
		return n <= number
	})
	if n <= number || at < 0 { // number is that of the record after the last
		at = max(g.size, 0)
	}
	return at, err
}

// records calls visit with the offset of each record, until it returns
// false. What a damaged compressed file does not give is passed over.
func (g *generation) records(f Format, off int64, visit func(off int64) bool) error {
	return g.frames(f, off, func(fr frame, v *validator) bool { return !v.valid(fr.data) || visit(fr.off) })
}

// frames calls visit with each frame, as records does.
func (g *generation) frames(f Format, off int64, visit func(frame, *validator) bool) error {
	sc, err := g.scan(f, off, fixedLimit(g.size))
	if err != nil {
		return g.tolerate(err)
	}
	v := newValidator(f)
	defer v.close()
	for {
		fr, err := sc.next()
		if errors.Is(err, io.EOF) {
			visit(sc.rest(), v)
			return nil
		}
		if err != nil {
			return g.tolerate(err)
		}
		if !visit(fr, v) {
			return nil
		}
	}
}

func (g *generation) tolerate(err error) error {
	if g.packed {
		return nil
	}
	return err
}

// seekSince returns bounds for the first record that is not before since: it
// is at lo or later, and before hi if there is one. Without an index lo may be far
// away from it.
func seekSince(gens []*generation, since time.Time) (lo, hi place) {
	end := place{gen: len(gens)}
	for i, g := range gens {
		lo, hi, ok := g.since(since)
		switch {
		case !ok:
			return place{gen: i}, end
		case hi >= 0:
			return place{i, lo}, place{i, hi}
		case lo >= 0:
			return place{i, lo}, end
		}
	}
	return end, end
}

// since returns the entries between which the first record of the file that is not
// before t lies; hi is -1 if it may only be after the last entry, and lo too if
// there is none such in this file. ok is false if that cannot be told.
func (g *generation) since(t time.Time) (lo, hi int64, ok bool) {
	if g.idx == nil {
		if !g.maxTime.IsZero() && g.maxTime.Before(t) {
			return -1, -1, true
		}
		return 0, 0, false
	}
	want := Nanos(t)
	i, err := g.idx.search(func(e *entry) bool { return e.maxTime >= want })
	if err != nil {
		return 0, 0, false
	}
	if i > 0 {
		e, err := g.idx.at(i - 1)
		if err != nil {
			return 0, 0, false
		}
		lo = e.offset
	}
	if i < g.idx.n {
		e, err := g.idx.at(i)
		return lo, e.offset, err == nil
	}
	if g.size == lo || g.packed && !g.maxTime.IsZero() {
		return -1, -1, true
	}
	return lo, -1, true
}

// validator tells records from damage.
type validator struct {
	framing Framing
	dec     Decoder
	msg     *logdriver.Message
	failure error // of the last frame that was decoded
}

func newValidator(f Format) *validator {
	return &validator{framing: f, dec: f.NewDecoder(), msg: logdriver.NewMessage()}
}

func (v *validator) valid(data []byte) bool {
	if len(data) == 0 || v.framing.Blank(data) {
		return false
	}
	v.msg.Reset()
	v.failure = v.dec.Decode(data, v.msg)
	return v.failure == nil
}

// damaged tells whether a frame that is not valid should not be there.
func (v *validator) damaged(fr frame) bool {
	if len(fr.data) == 0 {
		return fr.tooLong > 0
	}
	return !v.framing.Blank(fr.data) && v.failure != ErrNoMessage //nolint:errorlint // not wrapped, see Decoder
}

func (v *validator) close() { logdriver.PutMessage(v.msg) }
