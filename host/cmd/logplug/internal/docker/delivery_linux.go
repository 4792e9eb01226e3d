package docker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/host/cmd/logplug/internal/docker/frame"
	"github.com/logplug/logplug/shared/logdriver"
)

// readBytes is how much of a journal is read at a time.
const readBytes = 128 << 10

// sources are the names that need not be made for each message.
var sources = [...]string{"stdout", "stderr"}

// delivery logs one stream's journal.
type delivery struct {
	container *container
	stream    *stream
	logger    host.Logger
	maxLine   int
	hasty     bool
	skip      uint64 // messages from the position on that were logged before a crash

	at      position
	buf     []byte
	have    []byte // of buf, what is at at.offset
	partial string // the last Partial.ID
	old     int    // parts of a line whose daemon gives no numbers
	failed  error  // reported last
}

// newDelivery begins where an earlier one left off. Of got, which is how far the logger
// got, only what is about the logger counts.
func newDelivery(c *container, s *stream, l host.Logger, got position) *delivery {
	d := &delivery{container: c, stream: s, logger: l, maxLine: l.BufSize(), hasty: s.intake.hasty}
	if d.maxLine <= 0 || d.maxLine > logdriver.MaxLineBytes {
		d.maxLine = logdriver.MaxLineBytes
	}
	d.at = s.position.load()
	if d.at.stream == got.stream && got.seq > d.at.seq {
		d.skip = got.seq - d.at.seq
		if d.at.gap { // one is the host's own
			d.skip--
		}
	}
	d.at.stream, d.at.seq, d.at.gap = got.stream, got.seq, got.gap
	if d.skip == 0 {
		s.position.store(d.at)
	}
	return d
}

// run returns nil when the stream has ended and all of it is logged.
func (d *delivery) run(ctx context.Context) error {
	buf := d.container.service.buffers.Get().(*[]byte)
	defer d.container.service.buffers.Put(buf)
	d.buf = *buf
	for ctx.Err() == nil {
		full := d.stream.full() // before looking for more
		more, err := d.read()
		if err != nil {
			return err
		}
		used, err := d.logAll(ctx)
		if err != nil {
			return err
		}
		switch {
		case used > 0 || more:
		case full && len(d.have) > 0:
			d.giveUp()
		case full:
			d.finish()
			return nil
		default:
			select {
			case <-d.stream.journal.grown:
			case <-d.stream.filled:
			case <-ctx.Done():
			}
		}
	}
	return context.Cause(ctx)
}

// read makes d.have what follows the position, as far as it is there. It returns
// whether there is more than before.
func (d *delivery) read() (more bool, err error) {
	if len(d.have) == len(d.buf) && len(d.have) > 0 { // a frame that is larger
		d.buf = append(make([]byte, 0, 2*len(d.buf)), d.have...)
		d.buf = d.buf[:cap(d.buf)]
	}
	before := len(d.have)
	n, err := d.stream.journal.readAt(d.buf, d.at.offset)
	if err != nil {
		return false, fmt.Errorf("read %s: %w", d.stream.journal.file.Name(), err)
	}
	d.have = d.buf[:n]
	return n > before, nil
}

// logAll logs the whole frames in d.have, and returns how many bytes they take.
func (d *delivery) logAll(ctx context.Context) (used int, err error) {
	for len(d.have) > 0 && ctx.Err() == nil {
		e, n, corrupt := frame.Next(d.have)
		if corrupt != nil {
			n = frame.Resync(d.have)
			d.pass(n, corrupt)
		} else if n == 0 {
			break
		} else if err := d.logEntry(ctx, &e, int64(n)); err != nil {
			return used, err
		} else {
			d.have = d.have[n:]
		}
		used += n
	}
	if used > 0 {
		return used, d.release()
	}
	return 0, nil
}

// release gives back what was read.
func (d *delivery) release() error {
	restarted, err := d.stream.journal.release(d.at.offset, func() {
		d.at.offset, d.at.part = 0, 0
		d.store()
	})
	if restarted {
		d.have = nil
	}
	return err
}

// store remembers the position, unless messages are still to be skipped.
func (d *delivery) store() {
	if d.skip == 0 {
		d.stream.position.store(d.at)
	}
}

// giveUp passes over a frame that the output ends within, to the next one that is whole:
// its length may be what is damaged.
func (d *delivery) giveUp() {
	n, whole := 0, 0
	for n < len(d.have) && whole == 0 {
		n += frame.Resync(d.have[n:])
		_, whole, _ = frame.Next(d.have[n:])
	}
	d.pass(n, fmt.Errorf("%w: the output ends within it", frame.ErrCorrupt))
}

// pass reports and passes over n bytes of d.have, which are damaged.
func (d *delivery) pass(n int, why error) {
	d.container.service.corrupt(d.container, why, n)
	d.have = d.have[n:]
	d.at.offset += int64(n)
	d.at.part = 0
	d.store()
}

// finish makes the last position known.
func (d *delivery) finish() {
	if d.skip > 0 {
		d.skip = 0
		d.store()
	}
}

// logEntry logs the message of a frame of n bytes, in parts that the driver takes.
func (d *delivery) logEntry(ctx context.Context, e *frame.Entry, n int64) error {
	whole := d.partOf(e)
	part := whole
	for i := 0; ; i++ {
		from := i * d.maxLine
		to := min(from+d.maxLine, len(e.Line))
		final := to == len(e.Line)
		if i >= d.at.part {
			if len(e.Line) > d.maxLine && !whole.IsPartial() {
				part = logdriver.Partial{ID: fmt.Sprintf("%s-%d", d.stream.dir[len(d.stream.dir)-8:], e.TimeNano), Ordinal: i + 1}
			}
			part.Last = final && (whole.Last || !whole.IsPartial() && i > 0)
			next := position{offset: d.at.offset, part: i + 1}
			if final {
				next = position{offset: d.at.offset + n}
			}
			if err := d.logPart(ctx, e, e.Line[from:to], part, next); err != nil {
				return err
			}
		}
		if final {
			return nil
		}
	}
}

// partOf returns which part of a line the entry is.
func (d *delivery) partOf(e *frame.Entry) (p logdriver.Partial) {
	switch {
	case !e.Partial:
		d.old = 0
		return p
	case len(e.PartialID) == 0: // a daemon that tells no more
		d.old++
		return logdriver.Partial{ID: "0", Ordinal: d.old}
	}
	if len(e.PartialID) > logdriver.MaxPartialIDBytes {
		e.PartialID = e.PartialID[:logdriver.MaxPartialIDBytes]
	}
	if d.partial != string(e.PartialID) {
		d.partial = string(e.PartialID)
	}
	return logdriver.Partial{ID: d.partial, Ordinal: e.Ordinal, Last: e.Last}
}

// logPart logs one message and makes next the position. It returns an error only
// if the service or the host ends.
func (d *delivery) logPart(ctx context.Context, e *frame.Entry, line []byte, part logdriver.Partial, next position) error {
	if d.skip > 0 {
		d.skip--
		d.at.offset, d.at.part = next.offset, next.part
		d.store()
		return nil
	}
	m := logdriver.NewMessage()
	m.Borrow(line)
	m.Source, m.Timestamp, m.Partial = source(e.Source), time.Unix(0, e.TimeNano), part
	for retried := false; ; retried = true {
		err := d.logger.Log(m)
		if err == nil {
			d.failed = nil
			d.accepted(retried)
			break
		}
		if d.given(err) {
			logdriver.PutMessage(m)
			break
		}
		if errors.Is(err, logdriver.ErrClosed) || ctx.Err() != nil {
			return err
		}
		if !errors.Is(err, logdriver.ErrSpoolFull) {
			d.report("the container's output cannot be spooled; it waits", err)
			sleep(ctx, faultPause)
		}
	}
	d.at.offset, d.at.part = next.offset, next.part
	d.store()
	return nil
}

// accepted counts a message that the logger took, after it was retried perhaps.
func (d *delivery) accepted(retried bool) {
	d.at.seq++
	if d.at.gap || retried { // the host has told of drops; an attempt that failed may have a number
		d.ask()
		d.at.gap = false
	}
}

// ask asks how far the logger got: the host's own messages have numbers too.
func (d *delivery) ask() {
	if p, ok := d.logger.(host.Positioner); ok {
		_, d.at.seq = p.Position()
	}
}

// given tells whether a message is done with for which the logger returned an error.
func (d *delivery) given(err error) bool {
	switch {
	case errors.Is(err, host.ErrNotDurable):
		d.accepted(true)
		d.report("a message is logged, but not on the disk yet", err)
		return true
	case d.hasty && errors.Is(err, logdriver.ErrSpoolFull): // counted by the host
		d.ask() // earlier drops may be told of, and this one not
		d.at.gap = true
		return true
	case errors.Is(err, logdriver.ErrMessageTooLarge):
		d.report("a message cannot be logged and is given up", err)
		return true
	}
	return false
}

// report logs an error, once while it stays the same.
func (d *delivery) report(text string, err error) {
	if d.failed == nil || d.failed.Error() != err.Error() {
		d.container.log.Error(text, "error", err)
	}
	d.failed = err
}

func source(name []byte) string {
	for _, s := range sources {
		if string(name) == s {
			return s
		}
	}
	return string(name[:min(len(name), logdriver.MaxSourceBytes)])
}
