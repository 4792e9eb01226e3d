package importer

import (
	"strconv"

	"github.com/logplug/logplug/shared/logdriver"
)

// open is a line of which parts were logged.
type open struct {
	ID      string `json:"id"`
	Ordinal int    `json:"ordinal"`
}

// emitter makes messages of entries: parts of a line get numbers, and what is longer
// than size is split. From the same entries it always makes the same messages, so that
// they can be counted.
type emitter struct {
	size  int
	lines map[string]open // by source
	emit  func(*logdriver.Message) error
}

// entry emits the messages of e, which is at a place that is like no other.
func (em *emitter) entry(e *entry, file string, offset int64) error {
	line := em.lines[e.source]
	if line.Ordinal == 0 && !e.more && len(e.line) <= em.size {
		return em.send(e, e.line, logdriver.Partial{}, true)
	}
	if line.Ordinal == 0 {
		line.ID = file[:min(len(file), 16)] + "-" + strconv.FormatInt(offset, 36)
	}
	for rest, done := e.line, false; !done; {
		n := min(len(rest), em.size)
		done = n == len(rest)
		line.Ordinal++
		last := done && !e.more
		if err := em.send(e, rest[:n], logdriver.Partial{ID: line.ID, Ordinal: line.Ordinal, Last: last}, last); err != nil {
			return err
		}
		rest = rest[n:]
	}
	if e.more {
		em.lines[e.source] = line
	} else {
		delete(em.lines, e.source)
	}
	return nil
}

func (em *emitter) send(e *entry, line []byte, p logdriver.Partial, last bool) error {
	m := logdriver.NewMessage()
	m.Line = append(m.Line, line...)
	m.Source, m.Timestamp, m.Partial = e.source, e.time, p
	m.Attrs = append(m.Attrs, e.attrs...)
	m.Unterminated = last && e.unterminated
	return em.emit(m)
}
