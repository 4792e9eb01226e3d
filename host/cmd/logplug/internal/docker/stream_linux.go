package docker

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/go-hclog"
)

// stream is the output of one run of a container: what comes through one FIFO.
type stream struct {
	record
	dir      string
	journal  *journal
	position *positionFile
	intake   *intake
	ctx      context.Context    // of the intake
	cancel   context.CancelFunc // ends the intake, also before it begins
	filled   chan struct{}      // closed when nothing more comes into the journal
	resumed  bool               // an earlier service began it
}

// openStream opens the state in dir and the FIFO.
func openStream(dir string, r record, p *processes, log hclog.Logger) (_ *stream, err error) {
	s := &stream{record: r, dir: dir, filled: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.journal, err = openJournal(filepath.Join(dir, journalFile)); err != nil {
		return nil, err
	}
	if s.position, err = openPosition(filepath.Join(dir, positionName)); err != nil {
		return nil, err
	}
	s.align()
	fifo, err := openFIFO(r.File)
	if err != nil {
		return nil, err
	}
	s.intake = &intake{
		journal: s.journal, container: r.Info.ContainerID, processes: p, fifo: fifo, log: log,
		hasty: r.Info.Config["mode"] == "non-blocking",
		done:  make(chan struct{}), stopping: make(chan struct{}),
	}
	return s, nil
}

// resume makes s one that an earlier service has begun. Its logger's stream was perhaps not
// what was asked for, but that of a logger that a service before that had left.
func (s *stream) resume() {
	s.resumed = true
	if at := s.position.load(); at.stream != "" {
		s.Info.Stream = at.stream
	}
}

// align makes the journal and the position agree, before the journal grows: one that
// was begun anew may have a position from before.
func (s *stream) align() {
	at := s.position.load()
	if offset := s.journal.begin(at.offset); offset != at.offset {
		at.offset, at.part = offset, 0
		s.position.store(at)
	}
}

// begin starts the intake, which ends with the FIFO or with ctx.
func (s *stream) begin(ctx context.Context) {
	unlink := context.AfterFunc(ctx, s.cancel)
	go func() {
		defer close(s.intake.done)
		defer s.cancel()
		defer unlink()
		if s.intake.run(s.ctx) {
			close(s.filled) // before done
		}
	}()
}

// before tells whether s is of an earlier run than other.
func (s *stream) before(other *stream) bool {
	if s.resumed != other.resumed {
		return s.resumed
	}
	return s.Began.Before(other.Began)
}

// close lets go of the files. The intake must have ended, or not have begun.
func (s *stream) close() error {
	s.cancel()
	var errs []error
	if s.intake != nil && s.intake.fifo != nil {
		_ = s.intake.fifo.Close() // an intake that has ended did that
	}
	if s.journal != nil {
		errs = append(errs, s.journal.close())
	}
	if s.position != nil {
		errs = append(errs, s.position.close())
	}
	return errors.Join(errs...)
}

// remove forgets the stream.
func (s *stream) remove() error {
	// A directory whose name says that it is not complete is no stream's.
	gone := s.dir + newSuffix
	return errors.Join(os.RemoveAll(gone), os.Rename(s.dir, gone), os.RemoveAll(gone))
}

// full tells whether nothing more will come.
func (s *stream) full() bool {
	select {
	case <-s.filled:
		return true
	default:
		return false
	}
}

// abandoned tells whether the container ended long ago without the daemon having
// said so: it could not reach the service then, and will not try again.
func (s *stream) abandoned(now time.Time, since map[*stream]time.Time) bool {
	if s.full() || s.intake.stopped() || s.intake.processes.state(s.Info.ContainerID) != dead || s.intake.pending() > 0 {
		delete(since, s)
		return false
	}
	began, ok := since[s]
	if !ok {
		since[s] = now
		return false
	}
	return now.Sub(began) >= abandonedAfter
}

// abandonedAfter is longer than Docker waits for the last output of a container that has
// ended.
const abandonedAfter = 20 * time.Second
