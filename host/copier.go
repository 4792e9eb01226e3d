package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"reflect"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/logplug/logplug/shared/logdriver"
)

const (
	// readBytes is the size of a stream's read buffer. What is read at once is
	// also the most that a stream takes from its reader ahead of the logger.
	readBytes = 32 << 10
	// maxEmptyReads is how often in a row a Reader may return neither bytes
	// nor an error.
	maxEmptyReads = 100
)

// Source is one stream of bytes to copy, such as a process's standard output.
type Source struct {
	// Name becomes Message.Source, usually "stdout" or "stderr". Invalid UTF-8 is
	// replaced, and what exceeds logdriver.MaxSourceBytes is cut off.
	Name string
	// Reader is read until it ends or fails. io.EOF, a reader that was
	// closed, and EIO from a terminal that hung up are its end.
	Reader io.Reader
	// Tee, if not nil, is given every byte as it was read, before it is logged.
	// After its first error it is not written to again; logging goes on. A Tee
	// onto this program's own stdout or stderr needs SIGPIPE to be caught
	// (os/signal), because otherwise the Go runtime ends the program when the
	// other end of that pipe is closed.
	Tee io.Writer
}

// CopierOptions are the choices of NewCopier. The zero value has defaults.
type CopierOptions struct {
	// OnError, if not nil, is told when something fails: a reader, a Tee, and
	// the first message of each kind of error that the Logger returned. It is
	// called by the goroutines of the sources, so several calls may run at
	// once, and the source waits until it returns.
	OnError func(*CopyError)
}

// CopyError says which part of a Copier failed, and for which source.
type CopyError struct {
	// Op is "read", "log" or "tee".
	Op string
	// Source is the source's name.
	Source string
	// Err is the reason.
	Err error
}

func (e *CopyError) Error() string { return fmt.Sprintf("%s %s: %v", e.Op, e.Source, e.Err) }
func (e *CopyError) Unwrap() error { return e.Err }

// SourceStats counts what a Copier did for one source.
type SourceStats struct {
	// Source is the source's name.
	Source string
	// ReadBytes is the number of bytes that were read, newlines included.
	ReadBytes uint64
	// Messages is the number of messages that the Logger took.
	Messages uint64
	// Bytes is the sum of the lengths of their lines, without newlines.
	Bytes uint64
	// Lost is what the Logger did not take.
	Lost Loss
	// TeeLostBytes is the number of bytes that were not written to Tee.
	TeeLostBytes uint64
}

// Copier copies lines from readers to a Logger, one goroutine a reader.
//
// A line that is longer than the Logger's BufSize becomes several messages with
// Partial set, of which the last one is always marked; a source that ends
// without a newline has a last message that is Unterminated. So the bytes that
// were read can be put together again exactly. A line is logged once its end
// was read, and bears the time at which it was read; parts bear that of the
// first one.
//
// A Logger that fails neither blocks nor breaks what writes to a source: the
// message is counted as lost, and reading goes on.
type Copier struct {
	dst     logdriver.Logger
	opts    CopierOptions
	streams []*stream
	started atomic.Bool

	mu   sync.Mutex
	seen map[any]struct{} // kinds of Log errors that were reported
}

// NewCopier returns a Copier from sources to dst. A nil opts means defaults. The
// Copier closes neither dst nor, unless Run says so, the readers.
func NewCopier(dst logdriver.Logger, opts *CopierOptions, sources ...Source) *Copier {
	c := &Copier{dst: dst, seen: make(map[any]struct{})}
	if opts != nil {
		c.opts = *opts
	}
	for _, src := range sources {
		c.streams = append(c.streams, newStream(c, src))
	}
	return c
}

// Run copies until every source has ended, and returns what went wrong: one
// *CopyError, joined, for each source that could not be read to its end or had
// messages that were lost. It can be called once.
//
// When ctx ends, reads are interrupted: with SetReadDeadline where the Reader
// has it (pipes, sockets), or else by closing a Reader that is an io.Closer. A
// Reader that is neither holds Run up until its Read returns. What was read is
// still logged, what was not yet read stays unread, and Run's error wraps
// ctx's cause. Run ends in the same way when dst returns
// logdriver.ErrClosed.
//
// With an exec.Cmd's StdoutPipe, call Run before Wait, which closes the pipe.
func (c *Copier) Run(ctx context.Context) error {
	if c.started.Swap(true) {
		return errors.New("copier has run before: make a new one")
	}
	inner, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	errs := make([]error, len(c.streams))
	var wg sync.WaitGroup
	for i, s := range c.streams {
		wg.Go(func() { errs[i] = s.run(inner, cancel) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Stats returns the counts of all sources, in the order in which they were given
// to NewCopier. It may be called at any time.
func (c *Copier) Stats() []SourceStats {
	all := make([]SourceStats, len(c.streams))
	for i, s := range c.streams {
		all[i] = s.stats()
	}
	return all
}

// Lost returns what was lost of all sources together.
func (c *Copier) Lost() Loss {
	var sum Loss
	for _, s := range c.streams {
		l := s.lost.loss()
		sum.Messages += l.Messages
		sum.Bytes += l.Bytes
	}
	return sum
}

func (c *Copier) report(err *CopyError) {
	if c.opts.OnError != nil {
		c.opts.OnError(err)
	}
}

// reportOnce reports a Log error if it is the first of its kind.
func (c *Copier) reportOnce(err *CopyError) {
	kind := errorKind(err.Err)
	c.mu.Lock()
	_, known := c.seen[kind]
	c.seen[kind] = struct{}{}
	c.mu.Unlock()
	if !known {
		c.report(err)
	}
}

// errorKind returns what errors of the same kind have in common: the contract's
// sentinel, the system's error number, or else the type of the innermost error.
func errorKind(err error) any {
	for _, sentinel := range []error{
		logdriver.ErrClosed, logdriver.ErrSpoolFull, logdriver.ErrMessageTooLarge,
	} {
		if errors.Is(err, sentinel) {
			return sentinel
		}
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return reflect.TypeOf(err)
		}
		err = inner
	}
}

// stream copies one source. Its goroutine is started and awaited by Copier.Run.
type stream struct {
	copier *Copier
	src    Source
	split  *splitter

	logErr error // the first error of Log
	dead   bool  // Log is not called any more
	teeErr error

	// Set by run for log.
	ctx    context.Context
	cancel context.CancelCauseFunc

	read, teeLost atomic.Uint64
	logged, lost  tally
}

func newStream(c *Copier, src Source) *stream {
	s := &stream{copier: c, src: src}
	s.split = newSplitter(c.dst, src.Name, s.log)
	return s
}

// run copies until the source ends, ctx ends, or the logger is closed, in which
// case it calls cancel with that error.
func (s *stream) run(ctx context.Context, cancel context.CancelCauseFunc) error {
	if s.src.Reader == nil {
		return s.readError(errors.New("no Reader given"))
	}
	s.ctx, s.cancel = ctx, cancel
	err := s.copy()
	s.split.finish()
	if s.logErr != nil {
		lost := fmt.Errorf("%v: %w", s.lost.loss(), s.logErr)
		return errors.Join(err, &CopyError{Op: "log", Source: s.src.Name, Err: lost})
	}
	return err
}

// copy returns nil once the source was read to its end.
func (s *stream) copy() error {
	release := interruptible(s.ctx, s.src.Reader)
	defer release()

	buf := make([]byte, readBytes)
	for empty := 0; empty < maxEmptyReads; {
		if s.ctx.Err() != nil {
			return s.interrupted()
		}
		n, err := s.src.Reader.Read(buf)
		if n < 0 || n > len(buf) {
			return s.readError(fmt.Errorf("reader returned %d bytes for a buffer of %d", n, len(buf)))
		}
		empty++
		if n > 0 {
			empty = 0
			s.take(buf[:n])
		}
		if err != nil {
			return s.end(err)
		}
	}
	return s.readError(io.ErrNoProgress)
}

// take passes on bytes that were read just now.
func (s *stream) take(p []byte) {
	now := time.Now().UTC()
	s.read.Add(uint64(len(p)))
	if s.src.Tee != nil {
		s.tee(p)
	}
	s.split.write(p, now)
}

func (s *stream) tee(p []byte) {
	n := 0
	if s.teeErr == nil {
		n, s.teeErr = s.src.Tee.Write(p)
		n = max(0, min(n, len(p)))
		if n < len(p) && s.teeErr == nil {
			s.teeErr = io.ErrShortWrite
		}
		if s.teeErr != nil {
			s.copier.report(&CopyError{Op: "tee", Source: s.src.Name, Err: s.teeErr})
		}
	}
	s.teeLost.Add(uint64(len(p) - n))
}

// log is the splitter's emit.
func (s *stream) log(m *logdriver.Message) {
	n := len(m.Line)
	if s.dead {
		s.lost.add(n)
		logdriver.PutMessage(m)
		return
	}
	err := logOrLose(s.copier.dst, m, &s.lost)
	if err == nil {
		s.logged.add(n)
		return
	}
	if s.logErr == nil {
		s.logErr = err
	}
	s.copier.reportOnce(&CopyError{Op: "log", Source: s.src.Name, Err: err})
	switch {
	case errors.Is(err, logdriver.ErrClosed):
		s.dead = true
		s.cancel(err)
	case s.ctx.Err() != nil:
		// Each further message could wait for as long as this one did.
		s.dead = true
	}
}

// end tells what the error of a Read means for the stream.
func (s *stream) end(err error) error {
	switch {
	case err == io.EOF:
		return nil
	case s.ctx.Err() != nil:
		return s.interrupted()
	case isEnd(s.src.Reader, err):
		return nil
	default:
		return s.readError(err)
	}
}

// interrupted returns why reading was given up: nothing more than what Log
// has already returned if that was ErrClosed.
func (s *stream) interrupted() error {
	if s.dead && errors.Is(s.logErr, logdriver.ErrClosed) {
		return nil
	}
	return &CopyError{Op: "read", Source: s.src.Name, Err: context.Cause(s.ctx)}
}

func (s *stream) readError(err error) error {
	e := &CopyError{Op: "read", Source: s.src.Name, Err: err}
	s.copier.report(e)
	return e
}

func (s *stream) stats() SourceStats {
	logged := s.logged.loss()
	return SourceStats{
		Source:       s.src.Name,
		ReadBytes:    s.read.Load(),
		Messages:     logged.Messages,
		Bytes:        logged.Bytes,
		Lost:         s.lost.loss(),
		TeeLostBytes: s.teeLost.Load(),
	}
}

// isEnd tells whether err is how r says that nothing more will come.
func isEnd(r io.Reader, err error) bool {
	switch {
	case errors.Is(err, fs.ErrClosed), errors.Is(err, net.ErrClosed), errors.Is(err, io.ErrClosedPipe):
		return true
	case errors.Is(err, syscall.EIO):
		return !isRegular(r)
	default:
		return false
	}
}

// isRegular tells whether r is a file on a disk, where EIO is a real failure
// and not a terminal's way to say that its other side is gone.
func isRegular(r io.Reader) bool {
	f, ok := r.(interface{ Stat() (fs.FileInfo, error) })
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode().IsRegular()
}

// interruptible makes the end of ctx interrupt reads of r. The function that it
// returns ends that, and leaves r readable where it was not closed.
func interruptible(ctx context.Context, r io.Reader) (release func()) {
	d, hasDeadline := r.(interface{ SetReadDeadline(time.Time) error })
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		if hasDeadline && d.SetReadDeadline(time.Unix(1, 0)) == nil {
			return
		}
		if c, ok := r.(io.Closer); ok {
			_ = c.Close() // the stream ends, whatever Close says
		}
	})
	return func() {
		if stop() {
			return
		}
		<-done
		if hasDeadline {
			_ = d.SetReadDeadline(time.Time{}) // fails where there is no deadline to take back
		}
	}
}
