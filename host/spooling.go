package host

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/logplug/logplug/host/internal/spool"
	"github.com/logplug/logplug/shared/logdriver"
	"github.com/logplug/logplug/shared/wire"
)

// spooling is where a host's loggers keep their messages: in memory, or in a
// directory.
type spooling struct {
	store  spool.Store
	dir    *spool.Dir // nil in memory
	syncer *spool.Syncer
	always bool
	log    hclog.Logger

	stop chan struct{} // ends the periodic sync
	wg   sync.WaitGroup

	mu      sync.Mutex
	orphans map[string]*logger // what earlier hosts left, by identity
}

// arenaSlack is how much larger the directory's file may grow than what loggers
// may accept, as a fraction: blocks are never quite full.
const arenaSlack = 4

// openSpool opens the configured spool, and takes up what it holds.
func (h *Host) openSpool() error {
	cfg := &h.cfg.Spool
	s := &spooling{store: spool.Memory{}, log: h.cfg.Logger, stop: make(chan struct{}), orphans: make(map[string]*logger)}
	h.spool = s
	if cfg.Dir == "" {
		return nil
	}
	limit := cfg.HostBytes
	if h.cfg.Cache.Driver != "" {
		limit += h.cfg.Cache.SpoolBytes
	}
	dir, runs, err := spool.Open(cfg.Dir, limit+limit/arenaSlack)
	if err != nil {
		return err
	}
	s.store, s.dir = dir, dir
	s.syncer = spool.NewSyncer(dir.Sync)
	s.always = cfg.Sync == SyncAlways
	if cfg.Sync == SyncInterval {
		s.wg.Go(func() {
			s.syncer.Every(cfg.SyncInterval, s.stop, func(err error) { s.log.Error("spool directory", "error", err) })
		})
	}
	h.recover(runs)
	return nil
}

func (s *spooling) path() string {
	if s.dir == nil {
		return ""
	}
	return s.dir.Path()
}

func (s *spooling) close() error {
	if s.dir == nil {
		return nil
	}
	close(s.stop)
	s.wg.Wait()
	return s.dir.Close()
}

func (s *spooling) newQueue(stream spool.Stream) *spool.Queue { return spool.New(s.store, stream) }

// begin makes up a stream unless the caller goes on with one, and remembers whose it
// is before it has messages.
func (s *spooling) begin(driver string, r *request) (stream spool.Stream, err error) {
	if r.info.Stream == "" || r.cacheOf != "" {
		rand.Read(stream[:]) // never fails
		r.info.Stream = stream.String()
	} else if stream, err = spool.ParseStream(r.info.Stream); err != nil {
		return stream, fmt.Errorf("opening logger %s: Info.Stream: %w", labelOf(&r.info), err)
	} else {
		r.goesOn = true
	}
	if s.dir == nil {
		return stream, nil
	}
	info := r.info.Clone()
	info.Config = r.overflow.restore(info.Config)
	if err := s.dir.Remember(stream, spool.Record{Driver: driver, Info: info, CacheOf: r.cacheOf}); err != nil {
		return stream, fmt.Errorf("opening logger %s: spool directory: %w", labelOf(&r.info), err)
	}
	return stream, nil
}

// forget removes what begin remembered.
func (s *spooling) forget(stream spool.Stream) {
	if s.dir == nil {
		return
	}
	if err := s.dir.Forget(stream); err != nil {
		s.log.Warn("spool directory", "error", err)
	}
}

// append adds m, of size n, to q.
func (s *spooling) append(q *spool.Queue, m *logdriver.Message, n wire.Measured) (size int, err error) {
	if s.dir == nil {
		_, size, err = q.Append(m, n)
		return size, err
	}
	err = spool.Guard(func() error {
		_, added, err := q.Append(m, n)
		size = added
		return err
	})
	return size, err
}

// dropOldest is Queue.DropOldest. Memory that cannot be used is an error, with
// nothing dropped or without the mark.
func (s *spooling) dropOldest(q *spool.Queue, mark func(spool.Dropped) *logdriver.Message) (messages uint64, bytes, marks int, err error) {
	if s.dir == nil {
		return q.DropOldest(mark)
	}
	err = spool.Guard(func() (err error) {
		messages, bytes, marks, err = q.DropOldest(mark)
		return err
	})
	return messages, bytes, marks, err
}

func (s *spooling) take(q *spool.Queue, w *wire.WriteRequest, id uint64, limit int, force bool, last uint64) (n int, err error) {
	if s.dir == nil {
		return q.Take(w, id, limit, force, last), nil
	}
	err = spool.Guard(func() error {
		n = q.Take(w, id, limit, force, last)
		return nil
	})
	return n, err
}

func (s *spooling) ack(q *spool.Queue, seq uint64) (messages uint64, bytes int) {
	if s.dir == nil {
		return q.Ack(seq)
	}
	if err := spool.Guard(func() error {
		messages, bytes = q.Ack(seq)
		return nil
	}); err != nil {
		s.log.Error("messages that were delivered cannot be removed from the spool", "error", err)
	}
	return messages, bytes
}

// oldest returns the time of q's oldest message, zero if there is none.
func (s *spooling) oldest(q *spool.Queue) (t time.Time) {
	s.inspect(func() { t = q.Oldest() })
	return t
}

// measure returns how many of the sequences q keeps, and their size.
func (s *spooling) measure(q *spool.Queue, seqs []uint64) (messages uint64, bytes int) {
	s.inspect(func() { messages, bytes = q.Measure(seqs) })
	return messages, bytes
}

// find decodes the message seq of q into m. It returns false if q does not keep it or
// it cannot be read.
func (s *spooling) find(q *spool.Queue, seq uint64, m *logdriver.Message) (found bool) {
	s.inspect(func() { found = q.Find(seq, m) })
	return found
}

// inspect calls f, which only reads the spool. Memory that cannot be
// read is reported where messages are taken from it.
func (s *spooling) inspect(f func()) {
	if s.dir == nil {
		f()
		return
	}
	if err := spool.Guard(func() error { f(); return nil }); err != nil {
		s.log.Debug("the spool cannot be inspected", "error", err)
	}
}

// commit makes what was appended before survive a loss of power, if that was
// asked for.
func (s *spooling) commit() error {
	if !s.always {
		return nil
	}
	if err := s.syncer.Commit(); err != nil {
		return fmt.Errorf("a message was accepted, but may not survive a loss of power: %w", err)
	}
	return nil
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
		h.adoptOrphan(runs[:n])
		runs = runs[n:]
	}
	if err := h.spool.dir.Sweep(func(s spool.Stream) bool { return kept[s] }); err != nil {
		h.cfg.Logger.Warn("spool directory", "error", err)
	}
}

// adoptOrphan makes a logger of one stream's messages.
func (h *Host) adoptOrphan(runs []spool.Run) {
	stream := runs[0].Stream
	log := h.cfg.Logger.With("stream", stream.String())
	record, err := h.spool.dir.Lookup(stream)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			log.Error("the spool holds messages of a logger that it does not know; they are lost", "messages", spool.Discard(runs))
			return
		}
		log.Error("the spool holds messages of a logger that cannot be told; they are kept", "error", err)
		return
	}
	d, err := h.find(record.Driver)
	if err != nil {
		log.Error("the spool holds messages for a driver that is not there; they are kept", "error", err)
		return
	}
	r := request{info: record.Info, cacheOf: record.CacheOf}
	if r.overflow, r.info.Config, err = takeOverflow(record.Driver, record.Info.Config, h.cfg.Spool.LoggerBytes); err != nil {
		r.overflow = overflow{bytes: h.cfg.Spool.LoggerBytes}
	}
	q, lost := spool.Restore(h.spool.store, runs)
	l := newLogger(d, &r, stream, q)
	l.counts.accepted.add(q.Count()+lost, q.Bytes())
	l.counts.dropped[droppedDamaged].add(lost, 0)
	l.room.take(q.Count(), q.Bytes())
	log.Info("delivering what an earlier host left", "driver", record.Driver, "logger", l.label(), "messages", q.Count(), "damaged", lost)

	h.spool.orphans[identity(record.Driver, &r.info)] = l
	d.enlist(l)
	h.spool.wg.Go(func() { h.finishOrphan(d, l) })
}

// finishOrphan closes an orphan once its messages are delivered, unless
// somebody has opened it again.
func (h *Host) finishOrphan(d *driver, l *logger) {
	if err := l.waitSettled(d.ctx); err != nil {
		return // the host is closing
	}
	if h.spool.claim(l) {
		if err := l.Close(); err != nil && !errors.Is(err, logdriver.ErrClosed) {
			d.log.Warn("closing a logger that an earlier host left", "logger", l.label(), "error", err)
		}
	}
}

// claim takes l out of the orphans. It returns false if somebody else has.
func (s *spooling) claim(l *logger) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := identity(l.driver.name, &l.info)
	if s.orphans[id] != l {
		return false
	}
	delete(s.orphans, id)
	return true
}

// resume returns the logger that an earlier host left for what r asks for, or
// nil if there is none.
func (h *Host) resume(ctx context.Context, d *driver, r *request) (*logger, error) {
	h.spool.mu.Lock()
	l := h.spool.orphans[identity(d.name, &r.info)]
	h.spool.mu.Unlock()
	if l == nil {
		return nil, nil
	}
	if err := l.waitAttached(ctx); err != nil {
		return nil, err
	}
	if !h.spool.claim(l) {
		return nil, nil // it has just been finished
	}
	return l, nil
}

// identity tells loggers apart that write different logs.
func identity(driver string, info *logdriver.Info) string {
	return fmt.Sprintf("%q %q %q %q %q", driver, info.ContainerID, info.ContainerName, info.LogPath, info.Config)
}
