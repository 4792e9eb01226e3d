//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/shared/logdriver"
)

// scene is a round within one life of the host: its loggers and their writers.
type scene struct {
	life    *life
	command command
	roles   []*role
	ledger  *ledger
	ctx     context.Context // ends when writing is to end
	stop    context.CancelFunc
	writing sync.WaitGroup
	refused atomic.Uint64 // calls of Log that took nothing

	mu       sync.Mutex
	loggers  map[*role]host.Logger
	problems []string
}

// begin opens the loggers of a round and starts their writers.
func (l *life) begin(c command) (*scene, error) {
	roles := cast(c.Dir, c.Round, c.Scale)
	led, err := openLedger(filepath.Join(c.Dir, ledgerFile), writerCount(roles))
	if err != nil {
		return nil, err
	}
	s := &scene{life: l, command: c, roles: roles, ledger: led, loggers: make(map[*role]host.Logger)}
	s.ctx, s.stop = context.WithCancel(context.Background())
	var opening sync.WaitGroup
	for _, r := range roles {
		opening.Add(1)
		s.writing.Go(func() { s.play(r, opening.Done) })
	}
	s.writing.Go(func() {
		opening.Wait()
		l.say(report{Say: sayWriting})
	})
	return s, nil
}

const ledgerFile = "ledger"

// play opens one logger and writes to it until the scene ends.
func (s *scene) play(r *role, opened func()) {
	logger, err := s.open(r)
	opened()
	if err != nil {
		s.broken("logger %s cannot be opened: %v", r.name, err)
		return
	}
	s.mu.Lock()
	s.loggers[r] = logger
	s.mu.Unlock()
	var wg sync.WaitGroup
	for _, w := range r.writers() {
		if w != r.probe() {
			wg.Go(func() { s.write(r, logger, w) })
		}
	}
	wg.Wait()
}

// openPause is how long it takes to try again to open a logger.
const openPause = 50 * time.Millisecond

// open tries until the logger is open: its driver may be killed meanwhile.
// It goes on when writing is to end, because every logger is probed then.
func (s *scene) open(r *role) (host.Logger, error) {
	ctx, cancel := context.WithTimeout(context.Background(), probeLimit)
	defer cancel()
	for {
		l, err := s.life.host.Open(ctx, r.driver, r.info())
		if err == nil {
			return l, nil
		}
		if !pause(ctx, openPause) {
			return nil, err
		}
	}
}

// pause returns false if ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// write is one writer: it logs, and enters into the ledger what was accepted.
func (s *scene) write(r *role, logger host.Logger, writer int) {
	rnd := rand.New(rand.NewPCG(s.command.Seed, uint64(s.life.cfg.Life)<<32|uint64(writer)))
	for s.ctx.Err() == nil {
		burst, rest := 1, time.Duration(5+rnd.IntN(60))*time.Millisecond
		if r.fast {
			burst, rest = 50+rnd.IntN(1000), time.Duration(100+rnd.IntN(500))*time.Millisecond
			if rnd.IntN(50) == 0 {
				burst *= 20 // more than the spool holds
			}
		}
		for i := 0; i < burst && s.ctx.Err() == nil; i++ {
			s.log(r, logger, writer, fillerLength(rnd))
		}
		pause(s.ctx, rest)
	}
}

// fillerLength is mostly short; sometimes so long that the line is split.
func fillerLength(rnd *rand.Rand) int {
	switch rnd.IntN(1000) {
	case 0:
		return 20_000 + rnd.IntN(40_000)
	case 1, 2, 3, 4:
		return 1000 + rnd.IntN(8000)
	default:
		return rnd.IntN(250)
	}
}

// retryPause is how long a writer waits when the spool is out of order, as on a
// full disk.
const retryPause = 20 * time.Millisecond

// log offers one message until it is accepted or the scene ends.
func (s *scene) log(r *role, logger host.Logger, writer, filler int) {
	counter := s.ledger.counter(writer)
	m := logdriver.NewMessage()
	m.Source = fmt.Sprintf("w%d", writer)
	m.Line = appendLine(m.Line, line{writer, s.life.cfg.Life, counter.Load()}, filler)
	for {
		err := logger.Log(m)
		if err == nil {
			counter.Add(1)
			return
		}
		s.refused.Add(1)
		if errors.Is(err, logdriver.ErrClosed) {
			s.broken("logger %s: Log: %v", r.name, err)
		}
		if errors.Is(err, logdriver.ErrClosed) || !pause(s.ctx, retryPause) {
			logdriver.PutMessage(m)
			return
		}
	}
}

// settle ends the writing, probes every logger, and closes it.
func (s *scene) settle() report {
	s.stop()
	s.writing.Wait()
	var (
		wg      sync.WaitGroup
		slowest atomic.Int64
		resent  atomic.Uint64
	)
	for r, logger := range s.loggers {
		wg.Go(func() {
			began := time.Now()
			if err := s.probe(r, logger); err != nil {
				s.broken("logger %s: a probe after the storm did not get through: %v", r.name, err)
			}
			raise(&slowest, time.Since(began).Milliseconds())
			s.finish(r, logger)
			resent.Add(logger.Stats().Resent)
		})
	}
	wg.Wait()
	if err := s.ledger.close(); err != nil {
		s.broken("ledger: %v", err)
	}
	return report{
		Say: saySettled, Problems: s.problems, ProbeMillis: slowest.Load(), Refused: s.refused.Load(), Resent: resent.Load(),
	}
}

// raise makes v at least n.
func raise(v *atomic.Int64, n int64) {
	for old := v.Load(); old < n; old = v.Load() {
		if v.CompareAndSwap(old, n) {
			return
		}
	}
}

// probe logs one more message and waits until it is with the sink.
func (s *scene) probe(r *role, logger host.Logger) error {
	ctx, cancel := context.WithTimeout(context.Background(), probeLimit)
	defer cancel()
	counter := s.ledger.counter(r.probe())
	m := logdriver.NewMessage()
	m.Source = "probe"
	m.Line = appendLine(m.Line, line{r.probe(), s.life.cfg.Life, counter.Load()}, 10)
	for {
		err := logger.Log(m)
		if err == nil {
			break
		}
		if !pause(ctx, retryPause) {
			return err
		}
	}
	counter.Add(1)
	for {
		err := logger.Flush(ctx)
		if err == nil || ctx.Err() != nil || !pause(ctx, retryPause) {
			return err
		}
	}
}

// finish closes a logger, whose counters must tell then that nothing is left.
func (s *scene) finish(r *role, logger host.Logger) {
	if err := logger.Close(); err != nil {
		s.broken("logger %s: Close: %v", r.name, err)
	}
	st := logger.Stats()
	if p := balance("logger "+st.Logger, st.Totals(), st.Spooled); p != "" {
		s.broken("after Close: %s", p)
	}
	if st.Spooled.Messages > 0 {
		s.broken("logger %s: %d messages are in the spool after Close", r.name, st.Spooled.Messages)
	}
}

// abandon ends the writers of a scene that the conductor gave up.
func (s *scene) abandon() {
	s.stop()
	s.writing.Wait()
	_ = s.ledger.close()
}

func (s *scene) broken(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.problems = append(s.problems, fmt.Sprintf(format, args...))
}
