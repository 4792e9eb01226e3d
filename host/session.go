package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/logplug/logplug/host/internal/launch"
	"github.com/logplug/logplug/shared/logdriver"
	pb "github.com/logplug/logplug/shared/proto/logplug/v1"
	"github.com/logplug/logplug/shared/wire"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"
)

const (
	// minWindowBytes is the smallest window that the host works with: a
	// driver that asks for less gets this.
	minWindowBytes = 64 << 10
	// maxDescribeBytes bounds what a driver says of itself.
	maxDescribeBytes = 1 << 20
)

// session is the connection to one process of a driver. It ends once, for good:
// a new process gets a new session.
type session struct {
	driver *driver
	proc   *launch.Process
	client pb.DriverClient
	stream writeStream

	ctx    context.Context // ends with the session
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup // the session's goroutines

	verdict atomic.Pointer[verdict] // on the driver's needs; nil until they were looked at

	progressed atomic.Bool     // something was acknowledged
	retired    atomic.Bool     // its successor has its loggers, or is about to
	readers    context.Context // ends with the session's readings
	endReaders context.CancelCauseFunc

	sender   sender
	receiver receiver

	mu      sync.Mutex
	probing *logger   // the one suspect that may have messages on their way
	held    []*logger // suspects that wait for it
	loggers map[uint64]*logger
	ready   []*logger // have messages to send
	haste   bool      // somebody waits for acknowledgements
	linger  linger
	timer   *time.Timer   // tells the sender that a wait is over
	wake    chan struct{} // tells it to send, capacity 1
	suspect chan struct{} // a call was not answered, capacity 1
}

// opened is what a driver answers to Open.
type opened struct {
	id         uint64
	lastSeq    uint64
	window     int
	bufSize    int
	capability logdriver.Capability
}

func newSession(d *driver, proc *launch.Process) (*session, error) {
	ctx, cancel := context.WithCancelCause(context.Background())
	s := &session{
		driver: d, proc: proc, client: pb.NewDriverClient(proc.Conn()), ctx: ctx, cancel: cancel,
		loggers: make(map[uint64]*logger), wake: make(chan struct{}, 1), suspect: make(chan struct{}, 1),
		linger: linger{max: d.host.cfg.Linger, period: 1}, timer: time.NewTimer(time.Hour),
	}
	s.readers, s.endReaders = context.WithCancelCause(ctx)
	if err := s.openStream(); err != nil {
		cancel(err)
		return nil, fmt.Errorf("opening the write stream of driver %s: %w", d.name, err)
	}
	s.wg.Go(s.send)
	s.wg.Go(s.receive)
	s.wg.Go(s.watch)
	return s, nil
}

// fail ends the session. Only the first reason counts.
func (s *session) fail(err error) { s.cancel(err) }

// broken ends the session because of err, which sending met. What receiving meets at
// the same time tells more, and comes when all answers have been received.
func (s *session) broken(err error) {
	timer := time.NewTimer(drainTime + exitGrace)
	defer timer.Stop()
	select {
	case <-s.ctx.Done():
	case <-timer.C:
	}
	s.fail(err)
}

// err returns why the session ended.
func (s *session) err() error { return context.Cause(s.ctx) }

// over tells whether another session has, or is about to have, the loggers of s.
func (s *session) over() bool {
	select {
	case <-s.proc.Done():
		return true
	default:
		return s.ctx.Err() != nil || s.retired.Load()
	}
}

// wait returns once the session has ended and its goroutines are gone.
func (s *session) wait() {
	<-s.ctx.Done()
	s.wg.Wait()
}

// watch is the goroutine that notices a process which does not go on: one that
// does not answer at all, and one that answers without making progress. An attached
// process is left alone until it ends: a debugger stops it for as long as it likes.
func (s *session) watch() {
	t := s.driver.host.cfg.Timeouts
	tick := time.NewTicker(t.Health)
	defer tick.Stop()
	if s.driver.attached() {
		tick.Stop()
	}
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-s.proc.Done():
			s.fail(s.proc.Err())
			return
		case <-s.suspect:
			if s.driver.attached() {
				continue
			}
			if err := s.checkHealth(); err != nil {
				s.fail(&stalledError{fmt.Errorf("driver %s has left a call unanswered and is not healthy: %w", s.driver.name, err)})
				return
			}
		case now := <-tick.C:
			longest, silent := s.longestStalls(now)
			if longest.time < t.Health {
				continue
			}
			if err := s.checkHealth(); err != nil {
				s.fail(&stalledError{fmt.Errorf("driver %s has not acknowledged for %v and is not healthy: %w", s.driver.name, longest.time.Round(time.Millisecond), err)})
				return
			}
			if silent.time > t.Progress {
				s.fail(&stalledError{fmt.Errorf("driver %s answers, but has not acknowledged a message of logger %s for %v", s.driver.name, silent.logger, silent.time.Round(time.Second))})
				return
			}
		}
	}
}

// stalled is for how long a logger has had messages on their way without any
// sign of progress.
type stalled struct {
	time   time.Duration
	logger string
}

// longestStalls returns the longest of all loggers, and of those that the driver does
// not call blocked: it may say so and hang afterwards.
func (s *session) longestStalls(now time.Time) (longest, silent stalled) {
	s.mu.Lock()
	loggers := make([]*logger, 0, len(s.loggers))
	for _, l := range s.loggers {
		loggers = append(loggers, l)
	}
	s.mu.Unlock()
	for _, l := range loggers {
		l.mu.Lock()
		if l.session == s && l.inflight > 0 {
			d := stalled{now.Sub(l.counts.progress), l.label()}
			if d.time > longest.time {
				longest = d
			}
			if d.time > silent.time && l.blocked.reason == "" {
				silent = d
			}
		}
		l.mu.Unlock()
	}
	return longest, silent
}

func (s *session) checkHealth() error {
	ctx, cancel := context.WithTimeout(s.ctx, s.driver.host.cfg.Timeouts.Health)
	defer cancel()
	resp, err := grpc_health_v1.NewHealthClient(s.proc.Conn()).Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: wire.HealthService})
	if err != nil {
		return wire.FromStatus(s.driver.name, err)
	}
	if st := resp.GetStatus(); st != grpc_health_v1.HealthCheckResponse_SERVING {
		return fmt.Errorf("its health service says %v", st)
	}
	return nil
}

// exitGrace is how long a call waits for the end of a process whose connection is
// gone.
const exitGrace = time.Second

// deadlineSlack is how long before a deadline a driver, which gRPC tells of it, may
// be the first to end a call because of it.
const deadlineSlack = 50 * time.Millisecond

// timedOut tells whether err, of a call with ctx, comes of the deadline of ctx.
func timedOut(ctx context.Context, err error) bool {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return true
	}
	deadline, ok := ctx.Deadline()
	return ok && time.Until(deadline) < deadlineSlack &&
		(errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded))
}

// goneReason returns why the process does not answer any more. Its end, which is
// noticed a moment later, tells more than that of a stream.
func (s *session) goneReason(ctx context.Context) error {
	if err := s.err(); err != nil && !errors.Is(err, wire.ErrUnavailable) {
		return err
	}
	timer := time.NewTimer(exitGrace)
	defer timer.Stop()
	select {
	case <-s.proc.Done():
		return s.proc.Err()
	case <-timer.C:
	case <-ctx.Done():
	}
	return s.err()
}

// unanswered makes watch look whether the process is well.
func (s *session) unanswered() {
	select {
	case s.suspect <- struct{}{}:
	default:
	}
}

// call runs an RPC within the session and Timeouts.Call.
func (s *session) call(ctx context.Context, what string, rpc func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.driver.host.cfg.Timeouts.Call)
	defer cancel()
	stop := context.AfterFunc(s.ctx, cancel)
	defer stop()
	if err := wire.FromStatus(s.driver.name, rpc(ctx)); err != nil {
		switch {
		// A call that nobody cancelled was cut off when the process had ended.
		case s.ctx.Err() != nil || errors.Is(err, wire.ErrUnavailable) || errors.Is(err, context.Canceled) && ctx.Err() == nil:
			err = fmt.Errorf("%w: %w", wire.ErrUnavailable, cmp.Or(s.goneReason(ctx), err))
		case timedOut(ctx, err):
			s.unanswered()
			err = fmt.Errorf("no answer in time: %w", context.DeadlineExceeded) // whatever gRPC makes of it
		}
		return fmt.Errorf("%s driver %s: %w", what, s.driver.name, err)
	}
	return nil
}

func (s *session) describe(ctx context.Context) (d logdriver.Description, err error) {
	err = s.call(ctx, "describing", func(ctx context.Context) error {
		resp, err := s.client.Describe(ctx, &pb.DescribeRequest{}, grpc.MaxCallRecvMsgSize(maxDescribeBytes))
		if err != nil {
			return err
		}
		d = wire.DescriptionFromProto(resp)
		return nil
	})
	return d, err
}

// open opens a logger in the driver's process.
func (s *session) open(ctx context.Context, info *logdriver.Info) (o opened, err error) {
	err = s.call(ctx, "opening logger "+labelOf(info)+" in", func(ctx context.Context) error {
		resp, err := s.client.Open(ctx, &pb.OpenRequest{Info: wire.InfoToProto(info)})
		if err != nil {
			return err
		}
		o = opened{
			id: resp.GetLogger(), lastSeq: resp.GetLastSeq(),
			window:     int(min(max(resp.GetWindowBytes(), minWindowBytes), 64<<20)),
			bufSize:    int(min(resp.GetBufSize(), logdriver.MaxLineBytes)),
			capability: wire.CapabilityFromProto(resp.GetCapability()),
		}
		if o.id == 0 {
			return errors.New("it answered with logger number 0, which the protocol forbids")
		}
		return nil
	})
	return o, err
}

// openAgain opens a logger that was not open in s.
func (s *session) openAgain(ctx context.Context, l *logger) error {
	o, err := s.open(ctx, &l.info)
	if err != nil {
		return err
	}
	if l.cacheOf != "" && !o.capability.ReadLogs {
		return errors.Join(&blindCacheError{s.driver.name}, s.closeLogger(ctx, l, o.id))
	}
	l.configure(o)
	return s.adopt(ctx, l, o)
}

// adopt makes l known under its number and attaches it. A logger that is gone, or
// that the successor of s has, is closed again.
func (s *session) adopt(ctx context.Context, l *logger, o opened) error {
	s.mu.Lock()
	if _, taken := s.loggers[o.id]; taken {
		s.mu.Unlock()
		err := fmt.Errorf("driver %s violates the protocol: logger number %d is in use", s.driver.name, o.id)
		s.fail(err)
		return err
	}
	s.loggers[o.id] = l
	s.mu.Unlock()
	if l.attach(s, o) {
		return nil
	}
	err := s.closeLogger(ctx, l, o.id)
	if err != nil && s.retired.Load() {
		s.driver.log.Debug("closing a logger that was moved meanwhile", "logger", l.label(), "error", err)
		return nil
	}
	return err
}

func (s *session) flush(ctx context.Context, id uint64) error {
	return s.call(ctx, "flushing a logger of", func(ctx context.Context) error {
		_, err := s.client.Flush(ctx, &pb.FlushRequest{Logger: id})
		return err
	})
}

// closeGrace is what closing gets when its caller's time is up already, so that
// the driver does not keep a logger that the host has forgotten.
const closeGrace = 2 * time.Second

func (s *session) closeLogger(ctx context.Context, l *logger, id uint64) error {
	if ctx.Err() != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), closeGrace)
		defer cancel()
	}
	err := s.call(ctx, "closing logger "+l.label()+" in", func(ctx context.Context) error {
		_, err := s.client.Close(ctx, &pb.CloseRequest{Logger: id})
		return err
	})
	s.mu.Lock()
	delete(s.loggers, id)
	s.mu.Unlock()
	s.endProbe(l)
	if errors.Is(err, wire.ErrUnavailable) {
		// The driver's logger has ended with the process. What was acknowledged is
		// with the sink, and the caller tells of the rest.
		s.driver.log.Debug("closing a logger of a process that is gone", "logger", l.label(), "error", err)
		return nil
	}
	return err
}
