package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/logplug/logplug/host/internal/spool"
	"github.com/logplug/logplug/shared/logdriver"
)

// orphan is a logger that an earlier host left with messages in the spool's
// directory. It is opened again, delivered and closed, unless somebody opens it
// meanwhile. Several of one identity are opened one after another: their driver may
// refuse to have one log open twice, and what is older comes first.
type orphan struct {
	*logger
	opened time.Time // in the earlier host
	taken  bool      // by somebody who opened it, or to be closed; under spooling.mu

	done   context.Context // ends when the orphan is closed, or taken by somebody
	finish context.CancelFunc
}

// recover takes up what earlier hosts left in the directory: their loggers are
// reopened, also if nobody opens them again.
func (h *Host) recover(runs []spool.Run) {
	kept := make(map[spool.Stream]bool)
	for len(runs) > 0 {
		n := 1
		for n < len(runs) && runs[n].Stream == runs[0].Stream {
			n++
		}
		kept[runs[0].Stream] = true
		h.spool.use(runs[0].Stream)
		if o := h.adoptOrphan(runs[:n]); o != nil {
			h.spool.put(o)
		}
		runs = runs[n:]
	}
	if err := h.spool.dir.Sweep(func(s spool.Stream) bool { return kept[s] }); err != nil {
		h.cfg.Logger.Warn("spool directory", "error", err)
	}
	for _, list := range h.spool.allOrphans() {
		h.spool.wg.Go(func() { h.finishOrphans(list) })
	}
}

// adoptOrphan makes a logger of one stream's messages, nil if that is not possible.
func (h *Host) adoptOrphan(runs []spool.Run) *orphan {
	stream := runs[0].Stream
	log := h.cfg.Logger.With("stream", stream.String())
	record, err := h.spool.dir.Lookup(stream)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			log.Error("the spool holds messages of a logger that it does not know; they are lost", "messages", spool.Discard(runs))
			h.spool.release(stream)
			return nil
		}
		log.Error("the spool holds messages of a logger that cannot be told; they are kept", "error", err)
		h.spool.keep(runs)
		return nil
	}
	d, err := h.find(record.Driver)
	if err != nil {
		log.Error("the spool holds messages for a driver that is not there; they are kept", "error", err)
		h.spool.keep(runs)
		return nil
	}
	r := request{info: record.Info, cacheOf: record.CacheOf, goesOn: true}
	if r.overflow, r.info.Config, err = takeOverflow(record.Driver, record.Info.Config, h.cfg.Spool.LoggerBytes); err != nil {
		r.overflow = overflow{bytes: h.cfg.Spool.LoggerBytes}
	}
	q, lost := spool.Restore(h.spool.store, runs)
	l := newLogger(d, &r, stream, q)
	l.counts.accepted.add(q.Count()+lost, q.Bytes())
	l.counts.dropped[droppedDamaged].add(lost, 0)
	l.room.take(q.Count(), q.Bytes())
	log.Info("delivering what an earlier host left", "driver", record.Driver, "logger", l.label(), "messages", q.Count(), "damaged", lost)

	o := &orphan{logger: l, opened: record.Opened}
	o.done, o.finish = context.WithCancel(d.ctx)
	d.enlist(l)
	return o
}

// keep counts messages that stay in the directory for another host. It is called
// before the host is used.
func (s *spooling) keep(runs []spool.Run) {
	for i := range runs {
		s.kept += int64(runs[i].Count)
	}
}

// put adds o behind those of its identity that are older.
func (s *spooling) put(o *orphan) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := identity(o.driver.name, &o.info)
	s.orphans[id] = append(s.orphans[id], o)
	slices.SortStableFunc(s.orphans[id], func(a, b *orphan) int { return a.opened.Compare(b.opened) })
}

// allOrphans returns the orphans of each identity.
func (s *spooling) allOrphans() (all [][]*orphan) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, list := range s.orphans {
		all = append(all, slices.Clone(list))
	}
	return all
}

// finishOrphans closes the orphans of one identity, one after another, once their
// messages are delivered, unless somebody has opened them again.
func (h *Host) finishOrphans(list []*orphan) {
	for _, o := range list[1:] {
		o.setBlocked("what an earlier logger of its name has left is delivered first")
	}
	for _, o := range list {
		d := o.driver
		d.release(o.logger)
		err := o.waitSettled(o.done)
		if d.ctx.Err() != nil {
			return // the host is closing
		}
		if err != nil || !h.spool.claim(o) {
			continue // somebody has opened it
		}
		if err := o.Close(); err != nil && !errors.Is(err, logdriver.ErrClosed) {
			d.log.Warn("closing a logger that an earlier host left", "logger", o.label(), "error", err)
		}
		h.spool.remove(o)
	}
}

// claim takes o, for somebody who opens or closes it. It returns false if somebody
// else has.
func (s *spooling) claim(o *orphan) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o.taken {
		return false
	}
	o.taken = true
	return true
}

// remove forgets o, which is closed or somebody's.
func (s *spooling) remove(o *orphan) {
	s.mu.Lock()
	id := identity(o.driver.name, &o.info)
	left := slices.DeleteFunc(s.orphans[id], func(other *orphan) bool { return other == o })
	if s.orphans[id] = left; len(left) == 0 {
		delete(s.orphans, id)
	}
	s.mu.Unlock()
	o.finish()
}

// oldestOrphan returns the oldest orphan of an identity, nil if there is none, and
// whether there are others.
func (s *spooling) oldestOrphan(identity string) (o *orphan, others bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.orphans[identity]
	if len(list) == 0 {
		return nil, false
	}
	return list[0], len(list) > 1
}

// resume returns the logger that an earlier host left for what r asks for, or
// nil if there is none. Where it left several, that is the newest one, but for a
// driver that does not take what the older ones hold.
func (h *Host) resume(ctx context.Context, d *driver, r *request) (*logger, error) {
	t := &h.cfg.Timeouts
	limit := t.Start + t.Call
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not possible within %v: %w", limit, context.DeadlineExceeded))
	defer cancel()
	for {
		o, others := h.spool.oldestOrphan(identity(d.name, &r.info))
		if o == nil {
			return nil, nil
		}
		if others {
			o.waitDone(ctx, t.Call)
		}
		if err := o.waitAttached(ctx); err != nil {
			return nil, err
		}
		if h.spool.claim(o) {
			h.spool.remove(o)
			return o.logger, nil
		}
		// It has just been delivered, and is being closed.
		if err := o.waitDone(ctx, limit); err != nil {
			return nil, fmt.Errorf("opening logger %s, which an earlier host left and which is being closed: %w", o.label(), err)
		}
	}
}

// waitDone waits until o is closed or somebody's, for at most limit.
func (o *orphan) waitDone(ctx context.Context, limit time.Duration) error {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-o.done.Done():
		return nil
	case <-timer.C:
		return context.DeadlineExceeded
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// takeOrphan returns what an earlier host left of the identity last, for somebody
// who does not wait until it is open; nil if there is nothing.
func (s *spooling) takeOrphan(identity string) *logger {
	s.mu.Lock()
	var o *orphan
	if list := s.orphans[identity]; len(list) > 0 && !list[len(list)-1].taken {
		o = list[len(list)-1]
		o.taken = true
	}
	s.mu.Unlock()
	if o == nil {
		return nil
	}
	s.remove(o)
	return o.logger
}

// identity tells loggers apart that write different logs.
func identity(driver string, info *logdriver.Info) string {
	return fmt.Sprintf("%q %q %q %q %q", driver, info.ContainerID, info.ContainerName, info.LogPath, info.Config)
}
