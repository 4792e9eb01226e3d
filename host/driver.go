package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/hashicorp/go-hclog"
	"github.com/logplug/logplug/host/internal/launch"
	pb "github.com/logplug/logplug/shared/proto/logplug/v1"
	"github.com/logplug/logplug/shared/wire"
)

// State is what a driver is doing.
type State string

// The states of a driver.
const (
	StateIdle     State = "idle"     // never used so far, or ended or did not start and nobody waits for it
	StateStarting State = "starting" // its process is being started
	StateRunning  State = "running"  // its process serves
	StateBackoff  State = "backoff"  // its process ended or did not start; waiting to try again
	// StateQuarantined: its processes ended in a row without getting anything
	// done; it is tried again at long intervals, see Timeouts.Quarantine.
	StateQuarantined State = "quarantined"
	StateClosed      State = "closed" // the host is closed
)

const (
	// restartMin and restartMax bound the jittered pause before a process is
	// started again.
	restartMin = 50 * time.Millisecond
	restartMax = 30 * time.Second
	// steadyTime is how long a process must have lived for its end not to count as
	// another failure in a row.
	steadyTime = 10 * time.Second
	// quarantineAfter is how many processes in a row must have ended early and
	// without any progress for the driver to be quarantined.
	quarantineAfter = 8
	// selfExitTime is how long a process that broke its connection gets to end
	// by itself, so that it can be told why it did.
	selfExitTime = 250 * time.Millisecond
	// reopenAtOnce is how many loggers are reopened at the same time.
	reopenAtOnce = 16
	// openTries is how many processes in a row may end while a logger is opened.
	openTries = 3
)

var errHostClosed = errors.New("the host is closed")

// driver keeps one process of a driver running while it is used.
type driver struct {
	host *Host
	name string
	path string // empty for an attached driver
	log  hclog.Logger

	ctx    context.Context // ends when the host closes
	cancel context.CancelCauseFunc
	done   chan struct{} // closed when supervise has returned
	wanted chan struct{} // somebody needs a process, capacity 1

	mu      sync.Mutex
	state   State
	session *session // while running
	attempt *attempt // what those who need a process wait for
	loggers map[*logger]struct{}
	ending  map[*logger]struct{} // those whose Shutdown has not finished
	past    past                 // what closed loggers have counted
	pid     int
	starts  uint64
	lastErr error

	quarantined error         // what acquire returns in quarantine
	binary      binary        // what the running process was started from
	upgrades    chan struct{} // the binary has changed, capacity 1
	grants      grants        // what the sandbox lets the process do
	refused     binary        // a changed binary that turned out to be unusable
	left        []uint64      // loggers that are still open in an attached process
}

// attempt is one start of a process, for those who wait for it.
type attempt struct {
	done    chan struct{}
	session *session
	err     error
}

func newDriver(h *Host, name, path string) *driver {
	ctx, cancel := context.WithCancelCause(context.Background())
	d := &driver{
		host: h, name: name, path: path, log: h.cfg.Logger.Named(name),
		ctx: ctx, cancel: cancel, done: make(chan struct{}), wanted: make(chan struct{}, 1),
		upgrades: make(chan struct{}, 1), grants: grants{box: h.boxOf(name)},
		state: StateIdle, loggers: make(map[*logger]struct{}), ending: make(map[*logger]struct{}), past: newPast(),
	}
	go d.supervise()
	return d
}

// acquire returns the running session, starting a process if need be. It fails
// with the reason if that start fails.
func (d *driver) acquire(ctx context.Context) (*session, error) {
	d.mu.Lock()
	if d.state == StateClosed {
		d.mu.Unlock()
		return nil, errHostClosed
	}
	if s := d.session; s != nil && s.ctx.Err() == nil {
		d.mu.Unlock()
		return s, nil
	}
	if d.state == StateQuarantined {
		defer d.mu.Unlock()
		return nil, d.quarantined
	}
	if d.attempt == nil {
		d.attempt = &attempt{done: make(chan struct{})}
	}
	a := d.attempt
	d.mu.Unlock()
	d.want()
	select {
	case <-a.done:
		return a.session, a.err
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for driver %s to start: %w", d.name, context.Cause(ctx))
	}
}

func (d *driver) want() {
	select {
	case d.wanted <- struct{}{}:
	default:
	}
}

// needed tells whether somebody uses the driver.
func (d *driver) needed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.attempt != nil || len(d.loggers) > 0
}

// supervise starts a process whenever one is needed and none runs, until the
// host is closed.
func (d *driver) supervise() {
	defer close(d.done)
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = restartMin, restartMax
	failures := 0 // in a row
	for d.ctx.Err() == nil {
		if !d.needed() {
			d.setState(StateIdle)
			select {
			case <-d.wanted:
			case <-d.ctx.Done():
			}
			continue
		}
		switch useful := d.runOnce(); {
		case useful:
			pause.Reset()
			failures = 0
		case !d.missing():
			failures++
		}
		switch {
		case failures >= quarantineAfter && !d.missing(): // also if nobody could open a logger
			d.quarantine(failures)
		case !d.needed():
			pause.Reset()
		case d.missing():
			d.setState(StateBackoff)
			d.sleep(d.host.cfg.Timeouts.Quarantine, d.wanted)
		default:
			d.setState(StateBackoff)
			d.sleep(pause.NextBackOff(), d.wanted)
		}
	}
	d.shut()
}

// sleep waits, at most until there is something on the channel.
func (d *driver) sleep(pause time.Duration, until <-chan struct{}) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-until:
	case <-d.ctx.Done():
	}
}

// quarantine refuses the driver to everybody for a while, or until its binary is
// another one.
func (d *driver) quarantine(failures int) {
	pause := d.host.cfg.Timeouts.Quarantine
	d.mu.Lock()
	d.state = StateQuarantined
	last := d.lastErr
	d.quarantined = fmt.Errorf("driver %s is in quarantine: %d of its processes in a row ended without getting anything done; it is tried again in %v at the latest; the last one: %w",
		d.name, failures, pause, last)
	d.finishLocked(nil, d.quarantined)
	d.mu.Unlock()
	d.log.Error("driver is in quarantine", "failures", failures, "pause", pause, "error", last)
	d.sleep(pause, d.upgrades)
}

// runOnce starts a process and serves until its session ends. It returns whether
// that one was of use: it did something, or lived for long, or helped to find a
// message that ends processes.
func (d *driver) runOnce() bool {
	d.setState(StateStarting)
	s, err := d.start()
	d.finishAttempt(s, err)
	if err != nil {
		if !d.missing() { // else those who wait for it tell
			d.log.Error("driver could not be started", "error", err)
		}
		d.detachAll(nil, err)
		return false
	}
	began := time.Now()
	d.reload() // what changed during the start went unnoticed
	d.reopen(s)
	for {
		select {
		case <-s.ctx.Done():
		case <-d.ctx.Done():
			s.stop(context.Cause(d.ctx))
		case <-d.upgrades:
			s = d.upgrade(s)
			continue
		}
		break
	}
	narrowing := d.end(s)
	d.leave(s)
	return s.progressed.Load() || narrowing || time.Since(began) >= steadyTime
}

// start starts or attaches to a process and opens a session with it.
func (d *driver) start() (*session, error) {
	if err := d.locate(); err != nil {
		return nil, err
	}
	d.setBinary(statBinary(d.path))
	if err := d.trusted(); err != nil {
		return nil, err
	}
	proc, err := d.launch()
	if err != nil {
		return nil, err
	}
	s, err := newSession(d, proc)
	if err != nil {
		proc.Kill()
		return nil, err
	}
	if err := s.closeLeft(); err != nil {
		s.fail(err)
		proc.Kill()
		s.wait()
		return nil, err
	}
	return s, nil
}

func (d *driver) launch() (*launch.Process, error) {
	if d.attached() {
		return d.attach()
	}
	return launch.Start(d.ctx, d.confine(d.host.launchConfig(d.name, d.path)))
}

// finishAttempt publishes the outcome of a start.
func (d *driver) finishAttempt(s *session, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.finishLocked(s, err)
	if err != nil {
		d.lastErr = err
		return
	}
	d.state, d.session, d.pid = StateRunning, s, s.proc.Pid()
	d.starts++
}

// finishLocked tells those who wait for a process. It is called with d.mu.
func (d *driver) finishLocked(s *session, err error) {
	if d.attempt != nil {
		d.attempt.session, d.attempt.err = s, err
		close(d.attempt.done)
		d.attempt = nil
	}
}

// reopen opens the loggers that earlier processes had.
func (d *driver) reopen(s *session) {
	slots := make(chan struct{}, reopenAtOnce)
	for _, l := range d.openable() {
		s.wg.Go(func() {
			select {
			case slots <- struct{}{}:
			case <-s.ctx.Done():
				return
			}
			d.reopenLogger(s, l, func() { <-slots })
		})
	}
}

// reopenLogger tries until l is open in s, or s has a successor. release is called
// once, after the first try: a logger that cannot be opened must not hold up the
// others.
func (d *driver) reopenLogger(s *session, l *logger, release func()) {
	if !l.beginOpening(s) {
		if release != nil {
			release()
		}
		return
	}
	defer l.endOpening(s)
	_, err := backoff.Retry(s.ctx, func() (struct{}, error) {
		if !d.has(l) || s.retired.Load() {
			return struct{}{}, nil
		}
		err := s.openAgain(s.ctx, l)
		if release != nil {
			release()
			release = nil
		}
		if err == nil || s.retired.Load() {
			return struct{}{}, nil
		}
		err = d.widen(s, &l.info, err)
		l.setBlocked("reopening: " + err.Error())
		if blind := (*blindCacheError)(nil); errors.As(err, &blind) {
			err = backoff.Permanent(err) // this process will never read
		}
		return struct{}{}, err
	}, backoff.WithMaxElapsedTime(0), backoff.WithBackOff(reopenBackOff()))
	if release != nil {
		release()
	}
	if err != nil && s.ctx.Err() == nil {
		d.log.Error("logger could not be reopened", "logger", l.label(), "error", err)
	}
}

// beginOpening returns false if l is open in s, or somebody is about to open it
// there.
func (l *logger) beginOpening(s *session) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.session == s || l.opening == s {
		return false
	}
	l.opening = s
	return true
}

func (l *logger) endOpening(s *session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.opening == s {
		l.opening = nil
	}
}

func reopenBackOff() *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval = 100*time.Millisecond, restartMax
	return b
}

// end takes down what is left of s. It reports whether that helps to find a
// message that ends processes.
func (d *driver) end(s *session) (narrowing bool) {
	reason := s.err()
	closing := errors.Is(reason, errHostClosed)
	if !closing {
		s.awaitExit(selfExitTime)
	}
	s.proc.Kill() // waits for the end; a process that hangs in the kernel must not hang the host
	s.wait()
	if !closing {
		if exit := s.proc.Err(); exit != nil && !errors.Is(reason, exit) {
			reason = fmt.Errorf("%w (%w)", reason, exit)
		}
		d.log.Error("driver process ended", "pid", s.proc.Pid(), "error", reason)
		narrowing = d.suspectAll(s, reason)
	}
	d.mu.Lock()
	d.session, d.pid, d.lastErr = nil, 0, reason
	if d.state == StateRunning {
		d.state = StateIdle
	}
	d.mu.Unlock()
	d.detachAll(s, reason)
	return narrowing
}

// awaitExit waits for the process to end by itself, for a while.
func (s *session) awaitExit(limit time.Duration) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-s.proc.Done():
	case <-timer.C:
	}
}

func (d *driver) detachAll(s *session, reason error) {
	for _, l := range d.snapshot() {
		l.detach(s, "driver is being replaced: "+reason.Error())
	}
}

// shut refuses all further use.
func (d *driver) shut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.state = StateClosed
	if d.attempt != nil {
		d.attempt.err = errHostClosed
		close(d.attempt.done)
		d.attempt = nil
	}
}

func (d *driver) setState(s State) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.state = s
}

// open opens a new logger.
func (d *driver) open(ctx context.Context, r *request) (*logger, error) {
	stream, err := d.host.spool.begin(d.name, r)
	if err != nil {
		return nil, err
	}
	l := newLogger(d, r, stream, d.host.spool.newQueue(stream))
	if err := d.openLogger(ctx, l); err != nil {
		d.host.spool.forget(stream)
		return nil, err
	}
	return l, nil
}

// openLogger opens a logger that nobody knows yet.
func (d *driver) openLogger(ctx context.Context, l *logger) error {
	for try := 1; ; try++ {
		s, done, err := d.acquireFor(ctx, &l.info)
		if err != nil {
			return err
		}
		defer done()
		o, err := s.open(ctx, &l.info)
		if err != nil {
			if s.retired.Load() && ctx.Err() == nil && try < openTries {
				continue // it was being stopped: its successor counts
			}
			return err
		}
		l.configure(o)
		l.mu.Lock()
		l.goOn(o.lastSeq)
		l.mu.Unlock()
		l.beginOpening(s) // reopen leaves it alone
		defer l.endOpening(s)
		if !d.register(l, s) {
			s.abandon(ctx, l, o.id)
			if d.host.isClosed() {
				return errHostClosed
			}
			// The process ended, or has a successor.
			if try == openTries {
				return fmt.Errorf("opening logger %s in driver %s: %w: %w", l.label(), d.name, wire.ErrUnavailable, cmp.Or(s.err(), errUpgraded))
			}
			continue
		}
		if err := s.adopt(ctx, l, o); err != nil {
			d.forget(l)
			return err
		}
		return nil
	}
}

// abandon gives up a logger that was opened in s too late: what it holds, such as a
// file, is not to be had twice.
func (s *session) abandon(ctx context.Context, l *logger, id uint64) {
	if s.ctx.Err() == nil {
		if err := s.closeLogger(ctx, l, id); err != nil {
			s.driver.log.Debug("closing a logger that was opened too late", "logger", l.label(), "error", err)
		}
	}
	if s.ctx.Err() != nil {
		s.driver.leave(s, id)
	}
}

// register adds l, which was opened in s, to the loggers that are reopened when s
// ends. It returns false if s has ended already, or has a successor, or the host is
// closed: Close shuts down those that are registered before.
func (d *driver) register(l *logger, s *session) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.session != s || d.host.isClosed() {
		return false
	}
	d.addLocked(l)
	return true
}

func (d *driver) addLocked(l *logger) {
	d.loggers[l] = struct{}{}
	d.past.opened(l.label())
}

// forget removes l, whose counters do not change any more.
func (d *driver) forget(l *logger) {
	last := l.Stats()
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.loggers[l]; !ok {
		return
	}
	delete(d.loggers, l)
	d.past.closed(&last)
}

func (d *driver) has(l *logger) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, ok := d.loggers[l]
	return ok
}

func (d *driver) snapshot() []*logger {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Collect(maps.Keys(d.loggers))
}

// stats returns a snapshot.
func (d *driver) stats() DriverStats {
	d.mu.Lock()
	st := DriverStats{Driver: d.name, Path: d.path, State: d.state, Pid: d.pid, Restarts: max(d.starts, 1) - 1}
	if d.lastErr != nil && !errors.Is(d.lastErr, errHostClosed) {
		st.LastError = d.lastErr.Error()
	}
	// At one time, so that each logger counts once: as open or as closed.
	st.Totals, st.Closed = d.past.export()
	loggers := slices.Collect(maps.Keys(d.loggers))
	d.mu.Unlock()
	for _, l := range loggers {
		open := l.Stats()
		st.Totals.Add(open.Totals())
		st.Loggers = append(st.Loggers, open)
	}
	slices.SortFunc(st.Loggers, func(a, b LoggerStats) int { return compareStrings(a.Logger, b.Logger) })
	return st
}

// stop ends the session with its process stopping in good order.
func (s *session) stop(reason error) {
	ctx, cancel := context.WithTimeout(context.Background(), s.driver.host.cfg.Timeouts.Stop)
	defer cancel()
	// The loggers are closed by now; this is for what a driver may hold beyond. An
	// attached one goes on, to serve the next host.
	if !s.driver.attached() {
		if _, err := s.client.Drain(ctx, &pb.DrainRequest{}); err != nil {
			s.driver.log.Debug("draining the driver", "error", wire.FromStatus(s.driver.name, err))
		}
	}
	s.cancel(reason)
	s.wg.Wait()
	if err := s.proc.Stop(ctx); err != nil && !errors.Is(err, wire.ErrUnavailable) {
		s.driver.log.Debug("stopping the driver's process", "error", err)
	}
}
