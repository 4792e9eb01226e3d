package main

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/logplug/logplug/shared/logdriver"
)

// maxMirrored is how many attributes of a log become fields of their own, so that an entry
// has no more than 1024 fields with up to logdriver.MaxAttrs of the message: journald
// ignores such entries. LOGPLUG_ATTRIBUTES has them all.
const maxMirrored = 512

// encoder makes journal entries of messages.
type encoder struct {
	constant   []byte // fields of all entries
	epoch      string
	log        string // the place's value
	extra      []logdriver.Attr
	attributes string // of messages without their own; empty if there are none
}

func newEncoder(info *logdriver.Info, opts *options, where place) (*encoder, error) {
	tag, err := opts.Tag.Render(info)
	if err != nil {
		return nil, err
	}
	e := &encoder{epoch: epoch(info.Stream, where), log: where.value, extra: opts.Attributes.Extra(info)}
	for _, f := range [][2]string{
		{fieldID, info.ID()}, {fieldIDFull, info.FullID()}, {fieldName, info.Name()},
		{fieldTag, tag}, {fieldImage, info.ImageName()}, {fieldIdentifier, tag}, {fieldEpoch, e.epoch},
	} {
		if f[1] != "" {
			e.constant = appendField(e.constant, f[0], f[1])
		}
	}
	e.constant = appendAttributes(e.constant, e.extra[:min(len(e.extra), maxMirrored)])
	if len(e.extra) > 0 {
		e.attributes = listed(e.extra)
	}
	return e, nil
}

// epoch names a stream of a log; a stream without a name is one of its own.
func epoch(stream string, where place) string {
	if stream == "" {
		return rand.Text()
	}
	sum := sha256.Sum256([]byte(strings.Join([]string{stream, where.field, where.value}, "\x00")))
	return hex.EncodeToString(sum[:16])
}

// append appends the datagram of a message.
func (e *encoder) append(b []byte, m *logdriver.Message, ordinal uint64, now time.Time) []byte {
	b = append(b, e.constant...)
	priority := priorityInfo
	switch m.Source {
	case "stdout":
	case "stderr":
		priority = priorityError
	default:
		b = appendField(b, fieldSource, m.Source)
	}
	b = appendField(b, fieldPriority, priority)
	b = append(b, fieldTimestamp+"="...)
	b = m.Timestamp.UTC().AppendFormat(b, logdriver.TimeFormat)
	b = append(b, "\n"+fieldOrdinal+"="...)
	b = strconv.AppendUint(b, ordinal, 10)
	b = append(b, '\n')
	if m.Timestamp.After(now) {
		b = appendField(b, fieldAhead, e.log)
	}
	if m.Partial.IsPartial() {
		b = appendPartial(b, &m.Partial)
	}
	if m.Unterminated {
		b = appendField(b, fieldUnterminated, "true")
	}
	attributes := e.attributes
	if len(m.Attrs) > 0 {
		attributes = listed(append(e.extra[:len(e.extra):len(e.extra)], m.Attrs...))
		b = appendAttributes(b, m.Attrs)
	}
	if attributes != "" {
		b = appendField(b, fieldAttributes, attributes)
	}
	return appendField(b, fieldMessage, m.Line)
}

func appendPartial(b []byte, p *logdriver.Partial) []byte {
	if !p.Last {
		b = appendField(b, fieldPartial, "true")
	}
	b = appendField(b, fieldPartialID, p.ID)
	b = appendField(b, fieldPartialNum, strconv.Itoa(p.Ordinal))
	return appendField(b, fieldPartialLast, strconv.FormatBool(p.Last))
}

// appendAttributes appends attributes as fields of their own.
func appendAttributes(b []byte, attrs []logdriver.Attr) []byte {
	for _, a := range attrs {
		if field := sanitize(a.Key); field != "" {
			b = appendField(b, field, a.Value)
		}
	}
	return b
}

// listed encodes attributes exactly, which fields cannot: their names are limited,
// and journald gives them an order of its own.
func listed(attrs []logdriver.Attr) string {
	flat := make([]string, 0, 2*len(attrs))
	for _, a := range attrs {
		flat = append(flat, a.Key, a.Value)
	}
	b, _ := json.Marshal(flat) // strings cannot fail
	return string(b)
}
