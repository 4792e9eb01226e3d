//go:build linux

package containerd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/host/cmd/logplug/internal/carry"
	"github.com/logplug/logplug/host/cmd/logplug/internal/jobs"
	"github.com/logplug/logplug/shared/logdriver"
	"golang.org/x/sys/unix"
)

// Sources are the names of a container's streams, in the order of its pipes.
var Sources = [2]string{"stdout", "stderr"}

// Config says what a Session works with.
type Config struct {
	Host  *host.Host
	Store *jobs.Store
	// Job is the container's, see Settings.Job. Its Info.Stream is the session's.
	Job jobs.Job
	// PID is the process that stands for the container.
	PID int
	// Pipes are the container's standard output and error. They belong to the session
	// once Open has returned it.
	Pipes [2]*os.File
	// Carry is what an earlier reader of the pipes left; nil if there was none. It
	// belongs to the session as well.
	Carry *carry.File
	// Lacks is why there is no Carry though there was an earlier reader: what that had
	// read and not logged is lost.
	Lacks error
	// Fresh makes the session log under a new stream of numbers, because it is
	// not the host of the earlier reader that logs.
	Fresh bool
	// Ended tells that the job is one of Ended: it stays as it was if its log cannot be
	// opened, and nothing else of its id is waited for.
	Ended bool
	// Missing is what an earlier process found to be missing in the log.
	Missing string
	// CloseTimeout bounds how long the driver may take at the end.
	CloseTimeout time.Duration
}

// Session is a container that is being logged.
type Session struct {
	cfg    Config
	claim  *jobs.Claim
	logger host.Logger
	carry  *carry.File

	mu   sync.Mutex // held while a message is logged, so that the carry file knows which
	lost atomic.Uint64
	cut  bool // Run did not come to the end

	errMu sync.Mutex
	err   error // the first reason why messages were lost
}

const (
	// claimRetry is how often is looked whether the job before has ended.
	claimRetry = 50 * time.Millisecond
	// claimGrace is for how much longer than its driver may take that is waited for: closing
	// a logger whose time is up takes the host some seconds.
	claimGrace = 10 * time.Second
)

// Open claims the container's job and opens its log. A job of that id that is coming to
// its end is waited for: the container was started again, or another process logged it. So
// is a log that is in use.
func Open(ctx context.Context, cfg Config) (*Session, error) {
	s := &Session{cfg: cfg, carry: cfg.Carry}
	var err error
	if s.claim, err = claim(ctx, &cfg); err != nil {
		return nil, err
	}
	if err = s.open(ctx); err != nil {
		return nil, errors.Join(err, s.refuse(err))
	}
	return s, nil
}

// ClaimLimit is for how long Open waits for the job before.
func (c *Config) ClaimLimit() time.Duration { return c.CloseTimeout + claimGrace }

func claim(ctx context.Context, cfg *Config) (*jobs.Claim, error) {
	ctx, cancel := context.WithTimeout(ctx, cfg.ClaimLimit())
	defer cancel()
	tick := time.NewTicker(claimRetry)
	defer tick.Stop()
	for {
		c, err := cfg.Store.Claim(cfg.Job)
		if running := (*jobs.RunningError)(nil); cfg.Ended || !errors.As(err, &running) {
			return c, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, err
		}
	}
}

// refuse notes why the container is not logged: containerd shows nobody what a logger
// has to say.
func (s *Session) refuse(why error) error {
	if s.carry != nil && s.cfg.Carry == nil {
		_ = s.carry.Close()
	}
	if s.cfg.Ended {
		return settle(s.claim.Abandon)
	}
	return s.finish(1, "not logged: "+why.Error())
}

func (s *Session) open(ctx context.Context) (err error) {
	info := s.cfg.Job.Info.Clone()
	switch {
	case s.carry == nil:
		// The size is that of the driver, which is not known before its logger is open.
		if s.carry, err = carry.Create(carry.MaxLine); err != nil {
			return err
		}
	case s.cfg.Fresh:
		s.carry.Renew()
	}
	info.Stream = s.carry.Stream()
	s.logger, err = s.cfg.openLog(ctx, func(ctx context.Context) (host.Logger, error) {
		return s.cfg.Host.Open(ctx, s.cfg.Job.Driver, info)
	})
	if err != nil {
		return err
	}
	if s.cfg.Carry == nil {
		s.carry.SetSize(lineSize(s.logger))
	}
	cache := ""
	if c := s.logger.Stats().Cache; c != nil {
		cache = c.Driver
	}
	if err = s.claim.Started(s.cfg.PID, cache); err != nil {
		return errors.Join(err, s.logger.Close())
	}
	return nil
}

// lineSize is the length above which l has lines split.
func lineSize(l host.Logger) int {
	if n := l.BufSize(); n > 0 {
		return n
	}
	return logdriver.DefaultBufSize
}

// CarryFD is the descriptor of the carry file, for whoever keeps it.
func (s *Session) CarryFD() int { return s.carry.FD() }

// ErrStopped is the cause of a context that ends Run before the container has ended:
// another process goes on with the pipes.
var ErrStopped = errors.New("logging is being stopped")

// Run copies the container's output until both pipes have ended, or ctx has: then
// what was not logged stays in the pipes and the carry file. It reports whether it
// came to the end. Close must be called afterwards.
func (s *Session) Run(ctx context.Context) (ended bool) {
	var streams [2]*carry.Stream
	for i := range streams {
		streams[i] = s.carry.OpenStream(i, Sources[i])
		streams[i].Resume(s.position)
	}
	stop := context.AfterFunc(ctx, func() {
		for _, p := range s.cfg.Pipes {
			_ = p.SetReadDeadline(time.Unix(1, 0)) // fails for a file that never blocks
		}
	})
	defer stop()
	var wg sync.WaitGroup
	var ends [2]bool
	for i := range streams {
		wg.Go(func() { ends[i] = s.copy(ctx, streams[i], s.cfg.Pipes[i]) })
	}
	wg.Wait()
	s.cut = !ends[0] || !ends[1]
	return !s.cut
}

// copy reports whether the stream came to its end.
func (s *Session) copy(ctx context.Context, stream *carry.Stream, pipe *os.File) (ended bool) {
	for {
		if !s.take(stream) {
			return false
		}
		if ended {
			return true
		}
		switch err := stream.Read(pipe); {
		case err == nil:
		case ctx.Err() != nil && !errors.Is(err, io.EOF):
			return false
		case errors.Is(err, io.EOF):
			ended = true
		default:
			s.note(fmt.Errorf("read the container's output: %w", err))
			stream.End()
			ended = true
		}
	}
}

// take logs what is complete. It returns false once the logger is closed.
func (s *Session) take(stream *carry.Stream) bool {
	err := stream.Take(s.position, s.log, func(err error) bool {
		switch {
		case errors.Is(err, logdriver.ErrClosed):
			return true
		case s.mayDrop() && errors.Is(err, logdriver.ErrSpoolFull): // counted and marked by the host
			return false
		case errors.Is(err, host.ErrNotDurable): // it is in the spool
			s.note(err)
			return false
		}
		s.lost.Add(1)
		s.note(err)
		return false
	}, &s.mu)
	return err == nil
}

// mayDrop tells whether the user wants messages dropped rather than the container waiting.
func (s *Session) mayDrop() bool { return s.cfg.Job.Info.Config["mode"] == "non-blocking" }

func (s *Session) log(m *logdriver.Message) error { return s.logger.Log(m) }

func (s *Session) position() (stream string, last uint64) {
	if p, ok := s.logger.(host.Positioner); ok {
		return p.Position()
	}
	return "", 0
}

// note keeps the first reason.
func (s *Session) note(err error) {
	s.errMu.Lock()
	defer s.errMu.Unlock()
	if s.err == nil {
		s.err = err
	}
}

// Abandon closes the session before anything was read.
func (s *Session) Abandon() {
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.CloseTimeout)
	defer cancel()
	_ = s.logger.Shutdown(ctx) // it has no messages
	for _, p := range s.cfg.Pipes {
		_ = p.Close()
	}
	_ = s.carry.Close()
	_ = settle(s.claim.Abandon) // the log is not the container's, whatever this says
}

// Interrupt makes Log return: what it has not accepted stays in the carry file.
func (s *Session) Interrupt(ctx context.Context) { _ = s.logger.Shutdown(ctx) }

// Close closes the log and, if the container has ended or nobody else goes on with it,
// its job. It returns what is missing in the log.
func (s *Session) Close(ended bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.CloseTimeout)
	defer cancel()
	err := s.logger.Shutdown(ctx)
	if errors.Is(err, logdriver.ErrClosed) {
		err = nil
	}
	trouble := s.troubles(err)
	if ended && s.cut {
		trouble = append(trouble, "the end of the output was not read: logging had to stop before")
	}
	for _, p := range s.cfg.Pipes {
		_ = p.Close() // nothing was written
	}
	err = s.carry.Close()
	if ended {
		err = errors.Join(err, s.finish(0, strings.Join(trouble, "; ")))
	}
	for _, t := range trouble {
		err = errors.Join(err, errors.New(t))
	}
	return err
}

// troubles says what was not delivered. What stays in the spool's directory is not
// among that.
func (s *Session) troubles(closed error) (all []string) {
	if s.cfg.Missing != "" {
		all = append(all, s.cfg.Missing)
	}
	if s.cfg.Lacks != nil {
		all = append(all, "what an earlier logplug had read is lost: "+s.cfg.Lacks.Error())
	}
	s.errMu.Lock()
	first := s.err
	s.errMu.Unlock()
	if n := s.lost.Load(); n > 0 {
		all = append(all, fmt.Sprintf("%d messages were lost, the first one because: %v", n, first))
	} else if first != nil {
		all = append(all, first.Error())
	}
	if st := s.logger.Stats(); st.Failed.Messages > 0 {
		all = append(all, fmt.Sprintf("driver %s rejected %d messages, the last one because: %s", st.Driver, st.Failed.Messages, st.LastFailure))
	}
	var u *logdriver.UndeliveredError
	if closed != nil && !(errors.As(closed, &u) && u.Spooled != "") {
		all = append(all, closed.Error())
	}
	return all
}

// OpenPipe makes a file of a descriptor such that reading from it can be
// interrupted. The descriptor belongs to the file.
func OpenPipe(fd int, name string) (*os.File, error) {
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, fmt.Errorf("use descriptor %d as the container's %s: %w", fd, name, err)
	}
	unix.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), name), nil
}
