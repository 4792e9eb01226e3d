package logfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/logplug/logplug/shared/logdriver"
)

var (
	// errDone ends a reading that has delivered what it was asked for, or has
	// nobody to deliver to.
	errDone      = errors.New("done")
	errTooLong   = fmt.Errorf("no end of record within %d bytes", MaxFrameBytes)
	errTruncated = errors.New("the file was truncated by another program")
)

// checkInterval is the number of records from one look at whether anybody still
// reads to the next.
const checkInterval = 256

// lateness is for how long after Until a reading that follows waits for
// messages from before it.
const lateness = time.Second

// reading is one call of ReadLogs. Only its own goroutine uses it.
type reading struct {
	ctx     context.Context
	w       *logdriver.LogWatcher
	format  Format
	cfg     logdriver.ReadConfig
	tracker tracker
	gens    []*generation // nil once done with
	dec     Decoder

	expires bool  // Until was in the future when the reading started
	expired bool  // and has passed since
	from    place // nothing before it is delivered
	matched bool  // the first record that is not before Since was seen
	gen     int   // what is being read, as in place
	msg     *logdriver.Message
	damage  []damage // not yet delivered, in order
	count   int
	out     outbox
}

func (r *reading) run() {
	defer close(r.w.Msg)
	defer r.tracker.close()
	defer func() { closeAll(r.gens) }()
	err := r.read()
	if err == nil {
		r.matched = true // what was damaged may have been asked for
		err = r.reportDamage()
	}
	if flushErr := r.out.flush(r); err == nil || errors.Is(err, errDone) {
		err = flushErr
	}
	if r.msg != nil {
		logdriver.PutMessage(r.msg)
	}
	if err != nil && !errors.Is(err, errDone) {
		r.w.Fail(err)
	}
}

func (r *reading) read() error {
	start, err := r.seek()
	if err != nil {
		return fmt.Errorf("read log: %w", err)
	}
	newest := len(r.gens) - 1
	for r.gen = 0; r.gen < newest; r.gen++ {
		if r.gen >= start.gen {
			if err := r.whole(r.gens[r.gen], start.offsetIn(r.gen)); err != nil {
				return err
			}
		}
		r.gens[r.gen].close()
		r.gens[r.gen] = nil
	}
	g, off := r.gens[newest], start.offsetIn(newest)
	if start.gen > newest {
		off = max(g.size, 0)
	}
	if r.cfg.Follow {
		r.gens[newest] = nil // follow closes it
		return r.follow(g, off)
	}
	return r.whole(g, off)
}

func (p place) offsetIn(gen int) int64 {
	if p.gen == gen {
		return p.off
	}
	return 0
}

// seek finds out where to start reading, and where delivering.
func (r *reading) seek() (place, error) {
	if r.cfg.Tail >= 0 {
		var err error
		if r.from, err = seekTail(r.format, r.gens, r.cfg.Tail); err != nil {
			return place{}, err
		}
	}
	if r.matched {
		return r.from, nil
	}
	lo, hi := seekSince(r.gens, r.cfg.Since)
	if !r.from.before(hi) && hi.gen < len(r.gens) {
		r.matched = true
		return r.from, nil
	}
	return lo, nil
}

// whole delivers the rest of a file that is complete.
func (r *reading) whole(g *generation, off int64) error {
	sc, err := r.scan(g, off, fixedLimit(g.size))
	if err != nil {
		return r.unreadable(g, off, err)
	}
	if err := r.drain(g, sc); err != nil {
		return err
	}
	if err := r.finish(g, sc); err != nil {
		return err
	}
	if !g.packed && sc.off < g.size { // nobody but other programs makes it shorter
		r.damaged(g, sc.off, 0, errTruncated)
		return r.reportDamage()
	}
	return nil
}

// scan cuts g into frames from an offset, and lets the decoder see what these
// depend on.
func (r *reading) scan(g *generation, off int64, limit func() int64) (*scanner, error) {
	c, ok := r.format.(Contextual)
	if !ok || off == 0 {
		return g.scan(r.format, off, limit)
	}
	sc, err := g.scan(r.format, max(off-c.ContextBytes(), 0), limit)
	if err != nil {
		return nil, err
	}
	m := logdriver.NewMessage()
	defer logdriver.PutMessage(m)
	for sc.off < off {
		fr, err := sc.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		_ = r.dec.Decode(fr.data, m) // what is no record has been reported before, or is not asked for
		m.Reset()
	}
	if sc.off != off {
		return g.scan(r.format, off, limit)
	}
	return sc, nil
}

// drain delivers the frames that there are.
func (r *reading) drain(g *generation, sc *scanner) error {
	for {
		fr, err := sc.next()
		if errors.Is(err, io.EOF) {
			return r.out.flush(r)
		}
		if err != nil {
			return r.unreadable(g, sc.off, err)
		}
		if err := r.frame(g, fr); err != nil {
			return err
		}
	}
}

// finish settles what is left of a file that nobody will write to.
func (r *reading) finish(g *generation, sc *scanner) error {
	if fr := sc.rest(); len(fr.data) > 0 || fr.tooLong > 0 {
		if err := r.frame(g, fr); err != nil {
			return err
		}
	}
	return r.reportDamage()
}

// unreadable reports a compressed file that is damaged; the log goes on with the
// next one. What a disk does not give is an error.
func (r *reading) unreadable(g *generation, off int64, err error) error {
	if !g.packed {
		return fmt.Errorf("read log: %w", err)
	}
	r.damaged(g, off, 0, fmt.Errorf("decompress: %w", err))
	return r.reportDamage()
}

func (r *reading) frame(g *generation, fr frame) error {
	if r.count++; r.count%checkInterval == 0 {
		if err := r.abandoned(); err != nil {
			return err
		}
	}
	if fr.tooLong > 0 {
		r.damaged(g, fr.off, fr.tooLong, errTooLong)
		return nil
	}
	if r.format.Blank(fr.data) {
		return nil
	}
	if r.msg == nil {
		r.msg = r.w.NewMessage()
	}
	if err := r.dec.Decode(fr.data, r.msg); err != nil {
		r.msg.Reset()
		if err == ErrNoMessage { //nolint:errorlint // not wrapped, see Decoder
			return nil
		}
		r.damaged(g, fr.off, int64(len(fr.data)), err)
		return nil
	}
	return r.message(place{r.gen, fr.off})
}

// message delivers the current message if it is selected.
func (r *reading) message(at place) error {
	m := r.msg
	if !r.matched && !m.Timestamp.Before(r.cfg.Since) {
		r.matched = true
	}
	if !r.matched || at.before(r.from) {
		r.passDamage()
		m.Reset()
		return nil
	}
	if err := r.reportDamage(); err != nil {
		return err
	}
	if !r.cfg.Until.IsZero() && m.Timestamp.After(r.cfg.Until) {
		return errDone
	}
	r.msg = nil
	return r.send(m)
}

// abandoned returns an error if nobody reads any more.
func (r *reading) abandoned() error {
	select {
	case <-r.w.WatchClose():
		return errDone
	default:
		return r.ctx.Err()
	}
}

// gone is abandoned where it is known that nobody reads.
func (r *reading) gone() error {
	if err := r.abandoned(); err != nil {
		return err
	}
	return errDone
}
