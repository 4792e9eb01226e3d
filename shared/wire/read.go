package wire

import (
	"fmt"

	"github.com/logplug/logplug/shared/logdriver"
)

// ReadLogsResponse is logplug.v1.ReadLogsResponse in encoded form. To send it:
// fill it with Append, then SendMsg, which empties it. To receive: RecvMsg,
// then Next until it returns false.
type ReadLogsResponse struct {
	frame
	rest    []byte
	started bool
}

// Append adds m.
func (r *ReadLogsResponse) Append(m *logdriver.Message) {
	size := entrySize(m)
	r.ensure(1 + varintSize(uint64(size)) + size)
	*r.buf = appendEntry(*r.buf, tagReadEntry, m, size)
}

// Next decodes the next message into m, copying its line. It returns false
// when there is none left.
func (r *ReadLogsResponse) Next(d *Decoder, m *logdriver.Message) (bool, error) {
	if !r.started {
		r.rest, r.started = r.bytes(), true
	}
	elem, rest, err := nextElement(r.rest, tagReadEntry)
	if err != nil {
		return false, malformed("read response", err)
	}
	if elem == nil {
		r.rest, r.started = nil, false
		return false, nil
	}
	if len(elem) > MaxEntryBytes {
		return false, malformed("read response", fmt.Errorf("entry of %d bytes, limit %d", len(elem), MaxEntryBytes))
	}
	r.rest = rest
	return true, d.decodeOwned(elem, m)
}

// decodeOwned is DecodeEntry with the line copied into the message's own memory.
func (d *Decoder) decodeOwned(b []byte, m *logdriver.Message) error {
	own := m.Line[:0]
	if err := d.DecodeEntry(b, m); err != nil {
		return err
	}
	line := m.Line
	m.Own(append(own, line...))
	return nil
}
