package host

import (
	"crypto/rand"
	"fmt"
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
	limit  time.Duration // of a call of Log
	// durable: what is kept about messages must survive a loss of power as they do.
	durable bool
	log     hclog.Logger
	full    fullDisk

	stop chan struct{} // ends the periodic sync
	wg   sync.WaitGroup

	kept int64 // messages of earlier hosts that this one cannot deliver

	mu      sync.Mutex
	orphans map[string][]*orphan // what earlier hosts left, by identity, the oldest first
	// streams are those that have messages in the directory, or may have some.
	streams map[spool.Stream]bool
}

// arenaSlack is how much larger the directory's file may grow than what loggers
// may accept, as a fraction: blocks are never quite full.
const arenaSlack = 4

// openSpool opens the configured spool, and takes up what it holds.
func (h *Host) openSpool() error {
	cfg := &h.cfg.Spool
	s := &spooling{
		store: spool.Memory{}, log: h.cfg.Logger, limit: h.cfg.Timeouts.Log, stop: make(chan struct{}), orphans: make(map[string][]*orphan),
		streams: make(map[spool.Stream]bool),
	}
	s.full.log = s.log
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
	s.always, s.durable = cfg.Sync == SyncAlways, cfg.Sync != SyncNone
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
	s.syncer.Stop()
	return s.dir.Close()
}

func (s *spooling) newQueue(stream spool.Stream) *spool.Queue { return spool.New(s.store, stream) }

// share makes q keep its messages in memory that the driver can read, if it keeps them in
// memory.
func (s *spooling) share(q *spool.Queue, memory *wire.WriteMemory) {
	if _, ok := s.store.(spool.Memory); ok {
		q.Use(spool.Memory{Shared: memory})
	}
}

// begin makes up a stream unless the caller goes on with one, and remembers whose it
// is before it has messages.
func (s *spooling) begin(driver string, r *request) (stream spool.Stream, err error) {
	if stream, err = s.chooseStream(r); err != nil || s.dir == nil {
		return stream, err
	}
	info := r.info.Clone()
	info.Config = r.overflow.restore(info.Config)
	record := spool.Record{Driver: driver, Info: info, CacheOf: r.cacheOf, Opened: time.Now()}
	if err := s.dir.Remember(stream, record, s.durable); err != nil {
		s.release(stream)
		return stream, fmt.Errorf("opening logger %s: spool directory: %w", labelOf(&r.info), err)
	}
	return stream, nil
}

// chooseStream returns the stream of a new logger, which is in use from then on. What another
// logger has left of the stream that the caller goes on with, or still adds to it, would
// be taken for this one's: it gets a stream of its own then.
func (s *spooling) chooseStream(r *request) (stream spool.Stream, err error) {
	if r.info.Stream != "" && r.cacheOf == "" {
		if stream, err = spool.ParseStream(r.info.Stream); err != nil {
			return stream, fmt.Errorf("opening logger %s: Info.Stream: %w", labelOf(&r.info), err)
		}
		if r.goesOn = s.use(stream); r.goesOn {
			return stream, nil
		}
	}
	rand.Read(stream[:]) // never fails
	r.info.Stream = stream.String()
	s.use(stream)
	return stream, nil
}

// use takes note that a stream is in use. It returns false if it is already.
func (s *spooling) use(stream spool.Stream) bool {
	if s.dir == nil {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	used := s.streams[stream]
	s.streams[stream] = true
	return !used
}

// release takes note that a stream is not in use any more.
func (s *spooling) release(stream spool.Stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.streams, stream)
}

// forget removes what begin remembered.
func (s *spooling) forget(stream spool.Stream) {
	if s.dir == nil {
		return
	}
	defer s.release(stream)
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

// take is Queue.Take, where a message of up to alone bytes may exceed limit if it is the
// first. What was taken before memory that cannot be used is in w.
func (s *spooling) take(q *spool.Queue, w *wire.WriteRequest, id uint64, limit, alone int, last uint64) (n int, err error) {
	if s.dir == nil {
		return q.Take(w, id, limit, q.NextBytes() <= alone, last), nil
	}
	sent := q.Sent()
	err = spool.Guard(func() error {
		n = q.Take(w, id, limit, q.NextBytes() <= alone, last)
		return nil
	})
	if err != nil && q.Sent() > sent {
		s.inspect(func() { n = q.BytesBetween(sent, q.Sent()) })
	}
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

// clock returns the time to give to commit.
func (s *spooling) clock() (began time.Time) {
	if s.always {
		began = time.Now()
	}
	return began
}

// commit makes what was appended before survive a loss of power, if that was
// asked for, within the time that a call of Log that has begun may take.
func (s *spooling) commit(began time.Time) error {
	if !s.always {
		return nil
	}
	if err := s.syncer.Commit(s.limit - time.Since(began)); err != nil {
		return fmt.Errorf("%w: %w", ErrNotDurable, err)
	}
	return nil
}
