package render

import (
	"bufio"
	"errors"
	"io"
	"net/url"
	"os"

	"github.com/logplug/logplug/shared/logdriver"
)

const (
	// bufferBytes is the size of an output's buffer.
	bufferBytes = 64 << 10
	// maxSources bounds the sources that are followed from part to part.
	maxSources = 256
)

// TextOptions choose what stands before each line.
type TextOptions struct {
	// Timestamps puts the time, in logdriver.TimeFormat and UTC.
	Timestamps bool
	// Details puts the attributes.
	Details bool
}

// Text writes the bytes of the lines as they were: those of "stdout" to one
// output, all others to another. A line in several parts comes out as one,
// with one prefix.
type Text struct {
	opts           TextOptions
	stdout, stderr *output
	same           bool    // both go to the same place
	last           *output // was written to last
	prefix         []byte
}

// output is one of the two outputs.
type output struct {
	w *bufio.Writer
	// midLine holds the sources that are in the middle of a line.
	midLine map[string]bool
}

// NewText returns a printer to stdout and stderr.
func NewText(stdout, stderr *os.File, opts TextOptions) *Text {
	return newText(stdout, stderr, sameFile(stdout, stderr), opts)
}

func newText(stdout, stderr io.Writer, same bool, opts TextOptions) *Text {
	return &Text{opts: opts, stdout: newOutput(stdout), stderr: newOutput(stderr), same: same}
}

func newOutput(w io.Writer) *output {
	return &output{w: bufio.NewWriterSize(w, bufferBytes), midLine: make(map[string]bool)}
}

// sameFile tells whether both are the same terminal, file or pipe, where the order of
// what is written matters.
func sameFile(a, b *os.File) bool {
	x, err := a.Stat()
	if err != nil {
		return false
	}
	y, err := b.Stat()
	return err == nil && os.SameFile(x, y)
}

// Print implements Printer.
func (t *Text) Print(m *logdriver.Message) error {
	o := t.stderr
	if m.Source == "stdout" {
		o = t.stdout
	}
	if t.same && t.last != nil && t.last != o {
		if err := t.last.w.Flush(); err != nil {
			return err
		}
	}
	t.last = o
	if (t.opts.Timestamps || t.opts.Details) && !o.midLine[m.Source] {
		if _, err := o.w.Write(t.prefixOf(m)); err != nil {
			return err
		}
	}
	_, err := o.w.Write(m.Line)
	o.note(m.Source, len(m.Line) > 0 && m.Line[len(m.Line)-1] != '\n')
	return err
}

func (o *output) note(source string, midLine bool) {
	switch {
	case !midLine:
		delete(o.midLine, source)
	case len(o.midLine) < maxSources:
		o.midLine[source] = true
	}
}

// Flush implements Printer.
func (t *Text) Flush() error { return errors.Join(t.stdout.w.Flush(), t.stderr.w.Flush()) }

func (t *Text) prefixOf(m *logdriver.Message) []byte {
	b := t.prefix[:0]
	if t.opts.Timestamps {
		b = m.Timestamp.UTC().AppendFormat(b, logdriver.TimeFormat)
		b = append(b, ' ')
	}
	if t.opts.Details {
		b = appendDetails(b, m.Attrs)
		b = append(b, ' ')
	}
	t.prefix = b
	return b
}

// appendDetails writes attributes as key=value, separated by commas, both escaped as in
// URLs, so that they can be taken apart again.
func appendDetails(b []byte, attrs []logdriver.Attr) []byte {
	for i, a := range attrs {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, url.QueryEscape(a.Key)...)
		b = append(b, '=')
		b = append(b, url.QueryEscape(a.Value)...)
	}
	return b
}
