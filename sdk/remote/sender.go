package remote

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// Defaults of a Config.
const (
	DefaultDialTimeout   = 10 * time.Second
	DefaultStallTimeout  = 5 * time.Second
	DefaultResendAge     = 10 * time.Second
	DefaultFinishTimeout = 5 * time.Second
	DefaultProbation     = 500 * time.Millisecond
)

const (
	// writeSlice is how long a write may wait before the context is looked at.
	writeSlice = 100 * time.Millisecond
	// minPause and maxPause bound the time between looks at what the peer has
	// confirmed.
	minPause = 20 * time.Microsecond
	maxPause = 10 * time.Millisecond
	// The time between attempts to send again what was acknowledged, while there
	// is nothing else to send.
	minRetry = 50 * time.Millisecond
	maxRetry = 5 * time.Second
)

// Config says where a Sender sends to, and how.
type Config struct {
	// Addresses are tried in turn until one can be connected to; at least one.
	Addresses []Address
	// TLS is for addresses whose scheme has it; see TLSOptions.Config.
	TLS *tls.Config
	// ResendBytes bounds the acknowledged frames that are sent again after the
	// connection ended, and the memory for them. 0 means none. It has no effect on UDP.
	ResendBytes int
	// ResendAge is how long before the end of a connection such a frame was
	// confirmed at most: DefaultResendAge if 0.
	ResendAge time.Duration
	// DialTimeout bounds connecting, with the handshake of TLS:
	// DefaultDialTimeout if 0.
	DialTimeout time.Duration
	// StallTimeout is after how long without any progress Send returns:
	// DefaultStallTimeout if 0.
	StallTimeout time.Duration
	// FinishTimeout bounds Close: DefaultFinishTimeout if 0.
	FinishTimeout time.Duration
	// Probation is for how long a connection over TCP must have lived before anything is
	// taken for confirmed, if the one before it lived for less than four times that:
	// DefaultProbation if 0. A peer that ends connections soon after it has taken them,
	// such as a proxy without a server behind it or one that does not like the client's
	// certificate, has its system confirm what nobody reads.
	Probation time.Duration
}

// Sender sends frames to a server that does not acknowledge them, and knows what
// can be known about their fate without that:
//
//   - TCP, with or without TLS: a frame is confirmed when the peer's system has
//     acknowledged its last byte while the connection was open. The peer's
//     program may not have read it.
//   - unix sockets: a frame is confirmed when the peer's program has read it.
//   - UDP: a frame is confirmed when it has left this machine without an error that
//     the network reported at once.
//
// After a connection has ended, the next one begins with what was confirmed
// shortly before the end, Config.ResendBytes at most, since the peer may not have
// got to it; this happens in the background if nothing else is to be sent, but for
// datagram sockets, whose end shows when something is. Frames may thus arrive twice. Their order is kept: what is sent again begins at a
// frame that was sent before, and goes on from there.
//
// Its methods may be called from several goroutines.
type Sender struct {
	cfg    Config
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	turn   chan struct{} // holds a token while the fields below are in use
	tasks  sync.WaitGroup

	box        outbox
	unreported int  // frames that were confirmed while there was no Send to say so
	link       link // nil without a connection
	peer       Address
	opened     time.Time
	hold       time.Time // until then nothing is taken for confirmed
	brief      bool      // the last connection was ended early
	watched    bool      // a goroutine sends again what connections may have lost
	idle       *time.Timer
	closed     bool
}

// NewSender returns a Sender that connects when there is something to send. Close
// must be called.
func NewSender(cfg Config) *Sender {
	setDefault(&cfg.ResendAge, DefaultResendAge)
	setDefault(&cfg.DialTimeout, DefaultDialTimeout)
	setDefault(&cfg.StallTimeout, DefaultStallTimeout)
	setDefault(&cfg.FinishTimeout, DefaultFinishTimeout)
	setDefault(&cfg.Probation, DefaultProbation)
	for _, a := range cfg.Addresses {
		if a.Network == "udp" {
			cfg.ResendBytes = 0 // what was lost before would be lost again
		}
	}
	s := &Sender{cfg: cfg, turn: make(chan struct{}, 1)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

func setDefault(d *time.Duration, to time.Duration) {
	if *d <= 0 {
		*d = to
	}
}

var (
	// ErrSenderClosed is returned by a Sender after Close.
	ErrSenderClosed = errors.New("the connection was closed by its user")
	// ErrNotAdded is in an error of Send if it did not take the frames.
	ErrNotAdded = errors.New("not taken to be sent")
)

// Send adds frames, which are in p and end at the offsets in ends, to those that
// are not confirmed, and waits until all of them are. It returns how many were
// confirmed, from the oldest on, which may have been added by an earlier Send. With
// an error, but for ErrNotAdded, the others are kept and sent by the next Send: do
// not add them again. Nothing refers to p after Send has returned.
//
// An error means that there is no connection, that ctx has ended, or that the
// peer takes nothing: it lasts until a later Send succeeds.
func (s *Sender) Send(ctx context.Context, p []byte, ends []int) (confirmed int, err error) {
	if err := s.acquire(ctx); err != nil {
		return 0, fmt.Errorf("%w: %w", ErrNotAdded, err)
	}
	defer s.release()
	s.box.add(p, ends)
	before := s.box.pending()
	err = s.push(ctx)
	confirmed = s.unreported + before - s.box.pending()
	s.unreported = 0
	s.tidy()
	return confirmed, err
}

// Forget gives up what was added and not confirmed. Some of it may have arrived,
// or may yet arrive.
func (s *Sender) Forget(ctx context.Context) error {
	if err := s.acquire(ctx); err != nil {
		return err
	}
	defer s.release()
	if s.box.pending() > 0 {
		s.dropLink(time.Now()) // there may be half a frame on it
		s.box.forget()
	}
	s.unreported = 0
	return nil
}

// acquire waits for the right to use the fields.
func (s *Sender) acquire(ctx context.Context) error {
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if s.closed {
		s.release()
		return ErrSenderClosed
	}
	return nil
}

func (s *Sender) release() { <-s.turn }

// push sends until everything is confirmed. It connects once at most, so that whoever
// calls it decides how soon a peer that ends connections is tried again.
func (s *Sender) push(ctx context.Context) error {
	progress, pause := time.Now(), minPause
	for connected := false; !s.box.complete(); {
		ended := s.noticeEnd()
		switch {
		case s.link != nil:
		case connected:
			return fmt.Errorf("send to %s: %w", s.peer, shortened(ended))
		default:
			if err := s.connect(ctx); err != nil {
				return err
			}
			connected = true
		}
		moved, err := s.advance()
		if err != nil {
			return err
		}
		now := time.Now()
		if moved {
			progress, pause = now, minPause
			continue
		}
		if now.Sub(progress) > s.cfg.StallTimeout {
			return s.stalled()
		}
		if err := Sleep(ctx, pause); err != nil {
			return err
		}
		pause = min(2*pause, maxPause)
	}
	return nil
}

// advance writes what goes, and sees what is confirmed. It tells whether either
// was news.
func (s *Sender) advance() (moved bool, err error) {
	before := s.box.written
	err = s.link.write(&s.box, time.Now().Add(writeSlice))
	var pos int64
	if err == nil {
		pos, err = s.link.confirmed(&s.box)
	}
	if err != nil {
		s.dropLink(time.Now())
		return false, fmt.Errorf("send to %s: %w", s.peer, shortened(err))
	}
	now := time.Now()
	if now.Before(s.hold) {
		return s.box.written > before, nil
	}
	news := s.box.confirm(pos, now)
	return news || s.box.written > before, nil
}

// stalled says what is the matter with a peer that takes nothing, and gives up
// the connection if it is lost.
func (s *Sender) stalled() error {
	if s.link.silent() {
		s.dropLink(time.Now())
		return fmt.Errorf("send to %s: the receiver has not answered for long, and the connection is given up", s.peer)
	}
	return fmt.Errorf("send to %s: the receiver takes nothing: %d messages (%d bytes) are waiting", s.peer, s.box.pending(), s.box.end()-s.box.written)
}

// connect makes a connection where there is none.
func (s *Sender) connect(ctx context.Context) error {
	var errs []error
	for _, a := range s.cfg.Addresses {
		l, err := s.open(ctx, a)
		if err == nil {
			s.link, s.peer, s.opened, s.hold = l, a, time.Now(), time.Time{}
			if s.brief && a.Network == "tcp" {
				s.hold = s.opened.Add(s.cfg.Probation)
			}
			s.box.rewind()
			s.watch(l)
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// briefLife is what a connection must live for not to put the next one on probation.
func (s *Sender) briefLife() time.Duration { return 4 * s.cfg.Probation }

// dropLink lets go of a connection that ended at a time.
func (s *Sender) dropLink(at time.Time) {
	if s.link == nil {
		return
	}
	s.link.close()
	s.link, s.brief = nil, at.Sub(s.opened) < s.briefLife()
	s.box.expire(at.Add(-s.cfg.ResendAge))
	s.box.rewind()
}

// watch sees to it that what must be sent again after the end of l, and of those
// that follow it, is, even if no Send follows. One goroutine at a time does so, or
// each connection to a peer that ends them all would begin more of them.
func (s *Sender) watch(l link) {
	if s.watched || s.closed || s.cfg.ResendBytes == 0 || l.ended() == nil {
		return
	}
	s.watched = true
	s.tasks.Go(func() { s.keep(l) })
}

// keep waits for the end of l, and then sends again what may be lost, and so on
// with the next. There is a pause between attempts, and before the next if the
// connection was short.
func (s *Sender) keep(l link) {
	retry := backoff.NewExponentialBackOff()
	retry.InitialInterval, retry.MaxInterval, retry.Multiplier = minRetry, maxRetry, 2
	var pause time.Duration
	for l != nil {
		began := time.Now()
		select {
		case <-l.ended():
		case <-s.ctx.Done():
			return
		}
		if time.Since(began) >= s.briefLife() {
			retry.Reset()
			pause = 0
		}
		if Sleep(s.ctx, pause) != nil {
			return
		}
		l = s.resend(l)
		pause = retry.NextBackOff()
	}
}

// resend sends what l, which has ended, and others since may have lost. It returns
// the connection whose end is to be waited for: l itself if something is left to
// do; nil if there is none.
func (s *Sender) resend(l link) link {
	if s.acquire(s.ctx) != nil {
		return nil
	}
	defer s.release()
	_ = s.noticeEnd() // that it ended is known
	before := s.box.pending()
	err := s.push(s.ctx)
	s.unreported += before - s.box.pending()
	s.tidy()
	if err != nil {
		return l
	}
	if s.link == nil || s.link.ended() == nil {
		s.watched = false
		return nil
	}
	return s.link
}

// tidy forgets what need not be sent again, now and when it has become too old.
func (s *Sender) tidy() {
	s.box.trim(s.cfg.ResendBytes, time.Now().Add(-s.cfg.ResendAge))
	s.armIdle()
}

// armIdle sees to it that memory is given back when nothing is sent any more.
func (s *Sender) armIdle() {
	if s.idle == nil {
		s.idle = time.AfterFunc(s.cfg.ResendAge, s.rest)
		return
	}
	s.idle.Reset(s.cfg.ResendAge)
}

// rest forgets what need not be sent again any more.
func (s *Sender) rest() {
	select {
	case s.turn <- struct{}{}:
	default:
		return // whoever is busy arms the timer again
	}
	defer s.release()
	if s.closed || s.link == nil {
		return
	}
	select {
	case <-s.link.ended():
		return // what it may have lost is to be sent again
	default:
	}
	s.box.trim(s.cfg.ResendBytes, time.Now().Add(-s.cfg.ResendAge))
	s.box.release()
	s.link.release()
}

// Close ends the connection, after it has made sure, as far as the peer lets it,
// that everything confirmed was read. An error says that this may not be so. What
// is not confirmed is given up. No Send may be under way.
func (s *Sender) Close() error {
	s.cancel()
	s.turn <- struct{}{} // whoever has it sees that s.ctx has ended
	s.closed = true
	if s.idle != nil {
		s.idle.Stop()
	}
	s.release()
	s.tasks.Wait()
	// From here on nobody else uses the fields.
	err := s.end()
	if s.link != nil {
		s.link.close()
		s.link = nil
	}
	return err
}

func (s *Sender) end() error {
	_ = s.noticeEnd() // finish sends again what it may have lost
	if s.box.pending() > 0 {
		if s.link != nil && !s.box.owed() {
			return nil // the system goes on delivering what it took
		}
		s.dropLink(time.Now()) // there may be half a frame on it
		s.box.forget()
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.FinishTimeout)
	defer cancel()
	return s.finish(ctx)
}

// noticeEnd lets go of a connection that has ended, and returns why it has.
func (s *Sender) noticeEnd() error {
	if s.link == nil {
		return nil
	}
	select {
	case <-s.link.ended():
		at, err := s.link.cause()
		s.dropLink(at)
		return err
	default:
		return nil
	}
}

// finish has the peer confirm the end of the connection. If the connection breaks
// meanwhile, what may be lost is sent again.
func (s *Sender) finish(ctx context.Context) error {
	retry := backoff.NewExponentialBackOff()
	retry.InitialInterval = minRetry
	for {
		err := s.finishOnce(ctx)
		if err == nil || errors.Is(err, errUnfinished) {
			return nil // everything is confirmed; some receivers do not answer
		}
		if Sleep(ctx, retry.NextBackOff()) != nil {
			return fmt.Errorf("%d messages were acknowledged shortly before the connection ended and could not be sent again, so they may be lost: %w", len(s.box.marks), err)
		}
	}
}

func (s *Sender) finishOnce(ctx context.Context) error {
	_ = s.noticeEnd() // push connects again
	if s.link == nil && len(s.box.marks) == 0 {
		return nil
	}
	if err := s.push(ctx); err != nil {
		return err
	}
	if s.link == nil {
		return nil
	}
	err := s.link.finish(ctx)
	if err != nil && !errors.Is(err, errUnfinished) {
		s.dropLink(time.Now())
	}
	return err
}
