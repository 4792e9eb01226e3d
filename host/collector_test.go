package host

import (
	"bytes"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/logplug/logplug/shared/logdriver"
)

// collector is a Logger that keeps copies of what it is given.
type collector struct {
	bufSize int
	// refuse, if not nil, may return an error for a message. It is called with
	// the number of calls of Log before this one.
	refuse func(n int, m *logdriver.Message) error
	// notify, if not nil, gets the line of each message that was taken.
	notify chan string

	mu    sync.Mutex
	calls int
	msgs  []logdriver.Message
}

func (c *collector) Name() string { return "collector" }
func (c *collector) Close() error { return nil }
func (c *collector) BufSize() int { return c.bufSize }

func (c *collector) Log(m *logdriver.Message) error {
	c.mu.Lock()
	n := c.calls
	c.calls++
	c.mu.Unlock()
	if c.refuse != nil {
		if err := c.refuse(n, m); err != nil {
			return err
		}
	}
	var kept logdriver.Message
	kept.CopyFrom(m)
	c.mu.Lock()
	c.msgs = append(c.msgs, kept)
	c.mu.Unlock()
	logdriver.PutMessage(m)
	if c.notify != nil {
		c.notify <- string(kept.Line)
	}
	return nil
}

func (c *collector) messages() []logdriver.Message {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]logdriver.Message(nil), c.msgs...)
}

// of returns the messages of one source.
func (c *collector) of(source string) []logdriver.Message {
	var of []logdriver.Message
	for _, m := range c.messages() {
		if m.Source == source {
			of = append(of, m)
		}
	}
	return of
}

// joined puts the source's bytes together again.
func joined(msgs []logdriver.Message) []byte {
	var b bytes.Buffer
	for _, m := range msgs {
		b.Write(m.Line)
		if !m.Partial.More() && !m.Unterminated {
			b.WriteByte('\n')
		}
	}
	return b.Bytes()
}

// piece is what a test expects of a message.
type piece struct {
	Line         string
	Ordinal      int // 0 for a whole line
	Last         bool
	Unterminated bool
}

func pieces(msgs []logdriver.Message) []piece {
	var ps []piece
	for _, m := range msgs {
		ps = append(ps, piece{string(m.Line), m.Partial.Ordinal, m.Partial.Last, m.Unterminated})
	}
	return ps
}

// checkParts fails the test unless parts come in order, in lines with IDs and
// timestamps of their own, each line ends with a part that is Last, and only the
// final message is Unterminated.
func checkParts(t interface {
	Helper()
	Errorf(string, ...any)
}, msgs []logdriver.Message, size int) {
	t.Helper()
	ids := make(map[string]bool)
	var open logdriver.Message // the part before, if its line goes on
	for i, m := range msgs {
		p := m.Partial
		switch {
		case len(m.Line) > size:
			t.Errorf("message %d has %d bytes, limit %d", i, len(m.Line), size)
		case m.Unterminated && i < len(msgs)-1:
			t.Errorf("message %d of %d is Unterminated", i, len(msgs))
		case p.IsPartial() && len(m.Line) == 0:
			t.Errorf("message %d is an empty part", i)
		case p.More() && len(m.Line) != size:
			t.Errorf("message %d is a part of %d bytes, want %d", i, len(m.Line), size)
		case open.Partial.IsPartial():
			if p.ID != open.Partial.ID || p.Ordinal != open.Partial.Ordinal+1 || !m.Timestamp.Equal(open.Timestamp) {
				t.Errorf("message %d (%+v) does not continue %+v", i, p, open.Partial)
			}
		case p.IsPartial():
			if ids[p.ID] || p.Ordinal != 1 || p.Last {
				t.Errorf("message %d (%+v) does not begin a line", i, p)
			}
			ids[p.ID] = true
		case p != logdriver.Partial{}:
			t.Errorf("message %d has no ID but %+v", i, p)
		}
		open = logdriver.Message{}
		if p.More() {
			open = m
		}
	}
	if open.Partial.IsPartial() {
		t.Errorf("the last part %+v is not marked Last", open.Partial)
	}
}

func diff(t *testing.T, what string, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}
