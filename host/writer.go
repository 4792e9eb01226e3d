package host

import (
	"fmt"
	"sync"
	"time"

	"github.com/logplug/logplug/shared/logdriver"
)

// Writer makes messages of the lines that are written to it. It is an
// io.WriteCloser, safe for concurrent use: what one Write brings stays together.
type Writer struct {
	dst  logdriver.Logger
	lost tally

	// mu also keeps the parts of a line in order on their way to dst, so it is
	// held while dst.Log runs: a Write waits for as long as dst lets it.
	mu     sync.Mutex
	split  *splitter
	failed int   // messages of the current call that dst did not take
	err    error // why the first of them was not taken
	closed bool
}

// NewWriter returns a Writer onto l. Its messages have the given source, of which
// invalid UTF-8 is replaced and what exceeds logdriver.MaxSourceBytes is cut
// off. Lines longer than l's BufSize become parts, as with a Copier.
func NewWriter(l logdriver.Logger, source string) *Writer {
	w := &Writer{dst: l}
	w.split = newSplitter(l, source, w.log)
	return w
}

// Write logs the lines that p completes and keeps the rest until its end is
// written, or Close. It always takes all of p: messages that the Logger
// refuses are lost, counted by Lost, and reported by the error. After Close
// it takes nothing and returns logdriver.ErrClosed.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return 0, fmt.Errorf("write to log: %w", logdriver.ErrClosed)
	}
	w.split.write(p, time.Now().UTC())
	return len(p), w.outcome("write to log")
}

// Close logs an unfinished line as Unterminated. It does not close the Logger.
// Closing again does nothing.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil
	}
	w.closed = true
	w.split.finish()
	return w.outcome("close writer of log")
}

// Lost returns what the Logger has not taken so far.
func (w *Writer) Lost() Loss { return w.lost.loss() }

// log is the splitter's emit.
func (w *Writer) log(m *logdriver.Message) {
	err := logOrLose(w.dst, m, &w.lost)
	if err == nil {
		return
	}
	w.failed++
	if w.err == nil {
		w.err = err
	}
}

// outcome returns what went wrong since the last call of outcome.
func (w *Writer) outcome(doing string) error {
	n, err := w.failed, w.err
	w.failed, w.err = 0, nil
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %d messages lost: %w", doing, n, err)
}
