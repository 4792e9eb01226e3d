package main

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/logplug/logplug/drivers/journald/internal/journal"
	"github.com/logplug/logplug/shared/logdriver"
)

// decoder makes messages of journal entries: this driver's, and Docker's.
type decoder struct {
	priority, source string
	hasSource        bool
	partial          bool
	hasAttributes    bool
}

// message returns the message of an entry. Where parts of the entry are damaged,
// its Err tells that.
func (d *decoder) message(e *journal.Entry) *logdriver.Message {
	*d = decoder{}
	m := logdriver.NewMessage()
	m.Timestamp = time.UnixMicro(int64(e.Realtime)) // unless the message tells
	err := e.Fields(func(name, value []byte) bool {
		if len(name) > 0 && name[0] != '_' {
			d.field(m, string(name), value)
		}
		return true
	})
	m.Err = err
	switch {
	case d.hasSource:
		m.Source = d.source
	case len(d.priority) == 1 && d.priority <= priorityError:
		m.Source = "stderr"
	default:
		m.Source = "stdout"
	}
	if d.partial && !m.Partial.IsPartial() { // Docker before it had IDs
		m.Partial = logdriver.Partial{ID: "partial", Ordinal: 1}
	}
	if !m.Partial.More() && !m.Unterminated && err == nil {
		m.Line = append(m.Line, '\n')
	}
	return m
}

func (d *decoder) field(m *logdriver.Message, name string, value []byte) {
	switch name {
	case fieldMessage:
		m.Line = append(m.Line[:0], value...)
	case fieldPriority:
		d.priority = string(value)
	case fieldSource:
		d.source, d.hasSource = string(value), true
	case fieldTimestamp:
		if t, err := time.Parse(time.RFC3339Nano, string(value)); err == nil {
			m.Timestamp = t
		}
	case fieldPartial:
		d.partial = string(value) == "true"
	case fieldPartialID:
		m.Partial.ID = string(value)
	case fieldPartialNum:
		m.Partial.Ordinal, _ = strconv.Atoi(string(value))
	case fieldPartialLast:
		m.Partial.Last = string(value) == "true"
	case fieldUnterminated:
		m.Unterminated = string(value) == "true"
	case fieldAttributes:
		d.attributes(m, value)
	default:
		if !d.hasAttributes && !reserved(name) {
			m.Attrs = append(m.Attrs, logdriver.Attr{Key: name, Value: string(value)})
		}
	}
}

// attributes takes the exact list in place of the fields.
func (d *decoder) attributes(m *logdriver.Message, value []byte) {
	var flat []string
	if err := json.Unmarshal(value, &flat); err != nil {
		return
	}
	m.Attrs, d.hasAttributes = m.Attrs[:0], true
	for i := 0; i+1 < len(flat); i += 2 {
		m.Attrs = append(m.Attrs, logdriver.Attr{Key: flat[i], Value: flat[i+1]})
	}
}

// ordinal returns the sequence of an entry; 0 if it has none.
func ordinal(e *journal.Entry) (n uint64) {
	_ = e.Fields(func(name, value []byte) bool {
		if string(name) != fieldOrdinal {
			return true
		}
		n, _ = strconv.ParseUint(string(value), 10, 64)
		return false
	})
	return n
}
