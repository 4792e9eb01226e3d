package logdriver

import (
	"sync"
	"time"
)

// TimeFormat is RFC 3339 with nine fixed fractional digits, so that formatted
// times sort as text.
const TimeFormat = "2006-01-02T15:04:05.000000000Z07:00"

// Message is one line of output, or one part of a line that is longer than
// what its logger takes at once.
//
// Messages are pooled: get one with [NewMessage], hand it to [Logger.Log], and
// it finds its way back. A Message must not be used after it was given away.
type Message struct {
	// Line holds the bytes of the line. On the way to a driver it carries no
	// line terminator. On the way back from a LogReader it ends with "\n",
	// unless it is a part that is not the last of its line, or Unterminated.
	// Any byte value may occur.
	Line []byte

	// Source names the stream within the logger, usually "stdout" or "stderr".
	// It is valid UTF-8 of at most MaxSourceBytes.
	Source string

	// Timestamp is when the line was read from its source. The wire carries it
	// with a resolution of one nanosecond, for years 1678 to 2261.
	Timestamp time.Time

	// Attrs are further facts about the message, in order. Keys and values are
	// valid UTF-8, see MaxAttrs and MaxAttrBytes.
	Attrs []Attr

	// Partial is the zero value for a whole line.
	Partial Partial

	// Unterminated tells that the source ended after Line without a newline.
	Unterminated bool

	// Seq is the logger's own count of its messages, from 1, given by the host.
	// It is 0 where it is not known, as in messages that are read back.
	Seq uint64

	// Err, in a message that was read back, reports something that happened in
	// this place of the log instead of a line: records that were skipped
	// because they are damaged, for one. The other fields may be empty.
	Err error

	own      []byte // the backing array that returns to the pool
	borrowed bool   // Line points into memory that is not the message's own
}

// Attr is one attribute of a message.
type Attr struct {
	Key   string
	Value string
}

// Partial places a message in a line that was too long for one message.
type Partial struct {
	// ID is the same for all parts of one line and differs between lines of one
	// logger. The empty string means that the message is a whole line.
	ID string
	// Ordinal counts the parts of a line from 1.
	Ordinal int
	// Last marks the part that ends the line.
	Last bool
}

// IsPartial tells whether the message is a part of a line.
func (p Partial) IsPartial() bool { return p.ID != "" }

// More tells whether further parts of the same line follow.
func (p Partial) More() bool { return p.ID != "" && !p.Last }

const (
	// initialLineBytes is the capacity of a fresh message's Line.
	initialLineBytes = 256
	// maxPooledLineBytes bounds what a pooled message may hold on to.
	maxPooledLineBytes = 64 << 10
)

var messages = sync.Pool{
	New: func() any {
		b := make([]byte, 0, initialLineBytes)
		return &Message{Line: b, own: b}
	},
}

// NewMessage returns an empty message from the pool. Line has length 0 and some
// capacity: append to it.
func NewMessage() *Message { return messages.Get().(*Message) }

// PutMessage resets m and returns it to the pool. The owner of a message, and
// only the owner, may call it, once. Messages that a BatchLogger was handed
// are not its own.
func PutMessage(m *Message) {
	m.Reset()
	messages.Put(m)
}

// Reset makes m as NewMessage returns it, keeping what it has allocated for
// Line and Attrs.
func (m *Message) Reset() {
	line := m.Line
	if m.borrowed || cap(line) < cap(m.own) {
		line = m.own
	}
	if cap(line) > maxPooledLineBytes {
		line = make([]byte, 0, initialLineBytes)
	}
	if len(m.Attrs) > 0 {
		clear(m.Attrs)
		m.Attrs = m.Attrs[:0]
	}
	// Field by field: an assignment of the whole would be made twice.
	m.Line, m.own, m.borrowed = line[:0], line[:0], false
	m.Source, m.Timestamp, m.Partial = "", time.Time{}, Partial{}
	m.Unterminated, m.Seq, m.Err = false, 0, nil
}

// Borrow sets Line to b without copying. The message does not own b: it never
// reaches the pool, and m must not be used once b's owner reuses it.
func (m *Message) Borrow(b []byte) {
	m.Line = b[:len(b):len(b)]
	m.borrowed = true
}

// Own sets Line to b, which belongs to the message from now on.
func (m *Message) Own(b []byte) {
	m.Line = b
	m.borrowed = false
}

// CopyFrom makes m a copy of src that shares no memory with it but the
// immutable strings and Err.
func (m *Message) CopyFrom(src *Message) {
	if m.borrowed {
		m.Line, m.borrowed = m.own, false
	}
	line, attrs, own := append(m.Line[:0], src.Line...), append(m.Attrs[:0], src.Attrs...), m.own
	*m = *src
	m.Line, m.Attrs, m.own, m.borrowed = line, attrs, own, false
}
