package docker

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/logplug/logplug/host/cmd/logplug/internal/docker/frame"
	"github.com/logplug/logplug/shared/logdriver"
)

const (
	// readPatience is for how long reading waits for what was written before.
	readPatience = 3 * time.Second
	// readTick is how often is looked for that.
	readTick = 5 * time.Millisecond
)

// Read starts reading the log of a container.
func (s *Service) Read(ctx context.Context, driver string, info logdriver.Info, cfg logdriver.ReadConfig) (*logdriver.LogWatcher, error) {
	driver, info, err := s.resolve(ctx, driver, info)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	c, settled := s.containers[info.ContainerID], !s.waits(info.ContainerID)
	s.mu.Unlock()
	if c != nil {
		settled = c.settle(ctx) && settled
	}
	if !settled && ctx.Err() == nil {
		s.log.Warn("a log is read without what was written last: it is not logged yet", "container", info.ID())
	}
	if c != nil {
		if w, err := c.read(ctx, cfg); !errors.Is(err, logdriver.ErrClosed) {
			return w, err
		}
	}
	w := s.host.ReadLogs(ctx, driver, info, cfg)
	if settled {
		return w, failure(w)
	}
	return w, unsettled(ctx, w, &info)
}

// unsettled is failure where there is output that is not logged yet: that there is no log
// does not mean that nothing was written.
func unsettled(ctx context.Context, w *logdriver.LogWatcher, info *logdriver.Info) error {
	ctx, cancel := context.WithTimeout(ctx, readPatience)
	defer cancel()
	tick := time.NewTicker(readTick)
	defer tick.Stop()
	for len(w.Msg)+len(w.Err) == 0 && ctx.Err() == nil { // the end of a reading comes after its beginning
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	err := failure(w)
	if errors.Is(err, logdriver.ErrNoLog) {
		return fmt.Errorf("what %s has written is not logged yet: its logger cannot be opened at present", info.ID())
	}
	return err
}

// read starts reading the logger. It returns logdriver.ErrClosed if there is none, or no more.
func (c *container) read(ctx context.Context, cfg logdriver.ReadConfig) (*logdriver.LogWatcher, error) {
	c.reading.RLock()
	defer c.reading.RUnlock()
	_, l := c.snapshot()
	if l == nil {
		return nil, logdriver.ErrClosed
	}
	r, ok := l.(logdriver.LogReader)
	if !ok {
		return nil, logdriver.ErrReadLogsNotSupported
	}
	w := r.ReadLogs(ctx, cfg)
	return w, failure(w)
}

// failure returns why a reading did not begin.
func failure(w *logdriver.LogWatcher) error {
	if len(w.Msg) > 0 {
		return nil // it has; why it ended comes afterwards
	}
	select {
	case err := <-w.Err:
		w.Close()
		return err
	default:
		return nil
	}
}

// settle waits until what the daemon has written until now is logged, for a while. It
// returns whether it is: what comes meanwhile does not count.
func (c *container) settle(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, readPatience)
	defer cancel()
	marks := make(map[*stream]int64)
	streams, _ := c.snapshot()
	for _, s := range streams {
		marks[s] = s.journal.mark(s.intake.pending)
	}
	tick := time.NewTicker(readTick)
	defer tick.Stop()
	for !c.reached(marks) {
		select {
		case <-tick.C:
		case <-c.done:
			return true
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// reached tells whether the streams are logged up to these marks.
func (c *container) reached(marks map[*stream]int64) bool {
	streams, l := c.snapshot()
	for _, s := range streams {
		if mark, ok := marks[s]; ok && !s.journal.reached(mark) {
			return false
		}
	}
	return l != nil
}

// flusher is what a stream of frames is written to.
type flusher interface {
	io.Writer
	Flush() error
}

// copyFrames writes what w brings to out, until it ends.
func (s *Service) copyFrames(out flusher, w *logdriver.LogWatcher, container string) error {
	defer w.Close()
	buffered := bufio.NewWriterSize(out, 64<<10)
	var frames []byte
	for m := range w.Msg {
		if m.Err != nil {
			s.log.Warn("a part of the log cannot be read", "container", container, "error", m.Err)
		} else {
			if m.Source != sources[0] && m.Source != sources[1] {
				m.Source = sources[1] // the daemon shows no others; one is the host's, for drops
			}
			frames = frame.Append(frames[:0], m)
			if _, err := buffered.Write(frames); err != nil {
				return err
			}
		}
		logdriver.PutMessage(m)
		if len(w.Msg) == 0 {
			if err := errors.Join(buffered.Flush(), out.Flush()); err != nil {
				return err
			}
		}
	}
	err := errors.Join(buffered.Flush(), out.Flush())
	select {
	case failed := <-w.Err:
		if !errors.Is(failed, logdriver.ErrNoLog) {
			return fmt.Errorf("read the log of %s: %w", container, failed)
		}
	default:
	}
	return err
}
