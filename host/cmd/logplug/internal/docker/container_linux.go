package docker

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/hashicorp/go-hclog"
	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/shared/logdriver"
)

const (
	// openPatience is for how long starting a container waits for its driver.
	openPatience = 5 * time.Second
	// openRetry is the longest pause between attempts to open a logger.
	openRetry = 10 * time.Second
	// closePatience is how long closing a logger may take that has delivered all.
	closePatience = 10 * time.Second
)

// container is a logger and the streams that go to it, one after the other.
type container struct {
	service *Service
	key     string
	// streamID is Info.Stream of all that goes to the logger.
	streamID string
	log      hclog.Logger
	opened   chan struct{} // closed after the first attempt to open the logger
	done     chan struct{} // closed when nothing is left to do

	// reading is held for reading while a reading of the logger begins: the driver does not
	// know a logger any more that is closed meanwhile.
	reading sync.RWMutex

	mu        sync.Mutex
	openErr   error
	streams   []*stream // in order; the first is being delivered
	logger    host.Logger
	interrupt context.CancelFunc // of waiting for the last acknowledgements
	ended     bool               // takes no more streams
}

func newContainer(s *Service, first *stream) *container {
	c := &container{
		service: s, key: first.key(), streamID: first.Info.Stream,
		log:    s.log.With("container", first.Info.ID(), "driver", first.Driver),
		opened: make(chan struct{}), done: make(chan struct{}),
	}
	c.add(first)
	return c
}

// add takes a stream that has not begun, into its place. It returns false if the container takes none
// any more.
func (c *container) add(s *stream) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return false
	}
	at := len(c.streams)
	for at > 1 && s.before(c.streams[at-1]) { // the first may be being delivered
		at--
	}
	c.streams = slices.Insert(c.streams, at, s)
	s.intake.begun, s.intake.wasted = func() { c.supersede(s) }, c.service.wasted
	if c.interrupt != nil {
		c.interrupt()
	}
	return true
}

// supersede ends the streams before s, which has output: a container has one run at a
// time. One that did not end may be Docker's, made for reading while the container was
// stopped, or one whose end the daemon could not tell.
func (c *container) supersede(s *stream) {
	streams, _ := c.snapshot()
	for _, other := range streams {
		if other.before(s) {
			other.intake.stop()
		}
	}
}

// front returns the stream to deliver; nil if there is none.
func (c *container) front() *stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.streams) == 0 {
		return nil
	}
	return c.streams[0]
}

func (c *container) snapshot() (streams []*stream, l host.Logger) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]*stream(nil), c.streams...), c.logger
}

// run delivers streams until there are none, or ctx ends. newcomer tells that a
// first stream that its driver refuses is to be forgotten.
func (c *container) run(ctx context.Context, newcomer bool) {
	defer close(c.done)
	defer c.close()
	if l, got, ok := c.open(ctx, newcomer); ok {
		c.deliver(ctx, l, got)
	}
}

// deliver delivers streams until there are none, or ctx ends. got is how far the logger
// got.
func (c *container) deliver(ctx context.Context, l host.Logger, got position) {
	failed := ""
	for {
		s := c.front()
		if s == nil {
			if c.finish(ctx) || ctx.Err() != nil {
				return
			}
			continue
		}
		d := newDelivery(c, s, l, got)
		err := d.run(ctx)
		got = d.at
		switch {
		case err == nil:
			c.drop(s)
		case ctx.Err() != nil || errors.Is(err, logdriver.ErrClosed):
			return
		default: // the disk, perhaps; more of the output is stored meanwhile
			if failed != err.Error() {
				failed = err.Error()
				c.log.Error("the container's output cannot be delivered; it is kept, and tried again", "error", err)
			}
			sleep(ctx, faultPause)
		}
	}
}

// open opens the logger, however long that takes. ok is false if ctx ended or the
// driver refuses a newcomer. got is how far the logger got.
func (c *container) open(ctx context.Context, newcomer bool) (l host.Logger, got position, ok bool) {
	s := c.front()
	patience, cancel := context.WithTimeout(ctx, openPatience)
	defer cancel()
	tries, failed := 0, ""
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = 50*time.Millisecond, openRetry
	for ctx.Err() == nil {
		attempt := patience
		if tries > 0 {
			attempt = ctx
		}
		var err error
		l, err = c.attempt(attempt, s)
		if err == nil {
			break
		}
		if newcomer && tries == 0 && refused(err) {
			c.setOpened(nil, err)
			c.drop(s)
			return nil, got, false
		}
		if failed != err.Error() {
			failed = err.Error()
			c.log.Error("the logger cannot be opened yet; the container's output waits", "error", err)
		}
		if tries++; tries == 1 {
			c.setOpened(nil, nil)
		}
		sleep(ctx, pause.NextBackOff())
	}
	if l == nil {
		return nil, got, false
	}
	c.setOpened(l, nil)
	if p, can := l.(host.Positioner); can {
		got.stream, got.seq = p.Position()
	}
	return l, got, true
}

// attempt opens the logger. The driver may not have been there to be asked what it can do when
// its options were stored.
func (c *container) attempt(ctx context.Context, s *stream) (host.Logger, error) {
	info := s.Info.Clone()
	known := c.service.fit(ctx, s.Driver, info.Config)
	l, err := c.service.host.Open(ctx, s.Driver, info)
	var option *logdriver.OptionError
	if !known && errors.As(err, &option) && c.service.fit(ctx, s.Driver, info.Config) { // now it is there
		return c.service.host.Open(ctx, s.Driver, info)
	}
	return l, err
}

// refused tells whether the user has to change something: that is said when the
// container is started. Whatever else is the matter may pass, and does not stop it.
func refused(err error) bool {
	var (
		option *logdriver.OptionError
		none   *host.UnknownDriverError
		needs  *host.NeedsError
		pin    *host.PinError
	)
	return errors.As(err, &option) || errors.As(err, &none) || errors.As(err, &needs) || errors.As(err, &pin)
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (c *container) setOpened(l host.Logger, err error) {
	c.mu.Lock()
	c.logger, c.openErr = l, err
	if err != nil {
		c.ended = true
	}
	c.mu.Unlock()
	select {
	case <-c.opened:
	default:
		close(c.opened)
	}
}

// drop forgets a stream that is delivered.
func (c *container) drop(s *stream) {
	c.mu.Lock()
	c.streams = c.streams[1:]
	c.mu.Unlock()
	s.intake.stop()
	<-s.intake.done
	c.forget(s)
}

// forget removes the state of a stream whose intake has ended.
func (c *container) forget(s *stream) {
	if err := errors.Join(s.remove(), s.close()); err != nil {
		c.log.Warn("the state of a container's output cannot be removed", "error", err)
	}
	c.service.dropped(s)
}

// finish closes the logger once all is acknowledged. It returns false if another
// stream came meanwhile, or ctx ended.
func (c *container) finish(ctx context.Context) bool {
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	c.mu.Lock()
	c.interrupt = cancel
	l, more := c.logger, len(c.streams) > 0
	c.mu.Unlock()
	for !more && waiting.Err() == nil {
		if err := l.Flush(waiting); err == nil {
			break
		}
		sleep(waiting, faultPause/4)
	}
	c.mu.Lock()
	c.interrupt = nil
	c.ended = len(c.streams) == 0 && ctx.Err() == nil
	ended := c.ended
	c.mu.Unlock()
	return ended
}

// close closes the logger, and the files of streams that another service will
// deliver. Those whose driver refuses them are forgotten: the daemon was told.
func (c *container) close() {
	c.mu.Lock()
	c.ended = true
	l, left, refused := c.logger, c.streams, c.openErr
	c.mu.Unlock()
	if l != nil {
		c.shutdown(l)
	}
	for _, s := range left {
		s.cancel()
		<-s.intake.done
		if refused != nil {
			c.forget(s)
		} else if err := s.close(); err != nil {
			c.log.Warn("closing the state of a container's output", "error", err)
		}
	}
	c.service.forget(c)
	c.setOpened(nil, refused)
}

// shutdown closes the logger, between readings that begin.
func (c *container) shutdown(l host.Logger) {
	c.reading.Lock()
	defer c.reading.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), closePatience)
	defer cancel()
	if err := l.Shutdown(ctx); err != nil && !errors.Is(err, logdriver.ErrClosed) {
		c.log.Warn("closing the logger", "error", err)
	}
}
