package sdk

import (
	"github.com/logplug/logplug/shared/logdriver"
)

// DefaultLineBytes is the bound of an Assembler that was given none: 16 MiB.
const DefaultLineBytes = 16 << 20

// Assembler joins the parts of long lines. It holds parts in memory: a part is
// not stored anywhere until its line is emitted. [Assemble] is the easier way to
// use it with the right acknowledgements. It is not safe for concurrent use.
type Assembler struct {
	max   int
	bytes int
	lines map[lineKey]*openLine
	order []lineKey // oldest first
}

// NewAssembler returns an Assembler that holds at most maxBytes of parts; 0 or less
// means DefaultLineBytes.
func NewAssembler(maxBytes int) *Assembler {
	if maxBytes <= 0 {
		maxBytes = DefaultLineBytes
	}
	return &Assembler{max: maxBytes, lines: make(map[lineKey]*openLine)}
}

// Add takes the next message and calls emit with what is complete: with m itself
// if it is a whole line, or with a message that belongs to emit, for a
// line whose last part m is. m remains the caller's.
//
// A joined message has the time, source and attributes of its first part. When
// the bound is reached, the oldest line is emitted as far as it has come; such a
// message, and the others of its line, have a Partial, Last with the last one.
// So has a line whose first part never came.
func (a *Assembler) Add(m *logdriver.Message, emit func(*logdriver.Message)) {
	if !m.Partial.IsPartial() {
		emit(m)
		return
	}
	key := keyOf(m)
	l := a.lines[key]
	if l == nil {
		l = new(openLine)
		a.lines[key] = l
		a.order = append(a.order, key)
	}
	a.bytes += len(m.Line)
	l.add(m)
	if m.Partial.Last {
		a.remove(key)
		emit(l.take(true))
	}
	for a.bytes > a.max && len(a.order) > 0 {
		a.emitOldest(emit)
	}
}

// Rest calls emit with the lines that are not complete, oldest first, and forgets
// them. It is for the end of a log.
func (a *Assembler) Rest(emit func(*logdriver.Message)) {
	for len(a.order) > 0 {
		key := a.order[0]
		l := a.lines[key]
		a.remove(key)
		if l.msg != nil {
			emit(l.take(false))
		}
	}
}

// Bytes returns how much the Assembler holds.
func (a *Assembler) Bytes() int { return a.bytes }

// emitOldest emits what there is of the oldest line that has something. The line
// stays known, so that what follows is marked as its continuation.
func (a *Assembler) emitOldest(emit func(*logdriver.Message)) {
	for i, key := range a.order {
		l := a.lines[key]
		if l.msg == nil {
			continue
		}
		a.bytes -= len(l.msg.Line)
		a.order = append(append(a.order[:i:i], a.order[i+1:]...), key)
		emit(l.take(false))
		break
	}
	// Lines that were emitted in part and never end must not pile up.
	for len(a.order) > maxOpenLines {
		a.remove(a.order[0])
	}
}

// maxOpenLines bounds how many lines are remembered of which nothing is held.
const maxOpenLines = 1024

func (a *Assembler) remove(key lineKey) {
	l := a.lines[key]
	if l.msg != nil {
		a.bytes -= len(l.msg.Line)
	}
	delete(a.lines, key)
	for i, k := range a.order {
		if k == key {
			a.order = append(a.order[:i], a.order[i+1:]...)
			break
		}
	}
}

// lineKey identifies a line.
type lineKey struct{ source, id string }

func keyOf(m *logdriver.Message) lineKey { return lineKey{m.Source, m.Partial.ID} }

// openLine is a line whose end has not come.
type openLine struct {
	msg    *logdriver.Message // the parts so far; nil if there are none
	pieces int                // that were taken already, or are missing
}

// add appends the part m.
func (l *openLine) add(m *logdriver.Message) {
	if l.msg == nil {
		l.msg = logdriver.NewMessage()
		l.msg.CopyFrom(m)
		if l.pieces == 0 && m.Partial.Ordinal > 1 {
			l.pieces = m.Partial.Ordinal - 1
		}
		return
	}
	l.msg.Line = append(l.msg.Line, m.Line...)
	l.msg.Seq, l.msg.Unterminated = m.Seq, m.Unterminated
}

// take returns the parts so far as one message, which is a whole line if last and
// nothing of it was taken before or is missing.
func (l *openLine) take(last bool) *logdriver.Message {
	m := l.msg
	l.msg = nil
	if last && l.pieces == 0 {
		m.Partial = logdriver.Partial{}
		return m
	}
	l.pieces++
	m.Partial.Ordinal, m.Partial.Last = l.pieces, last
	return m
}
