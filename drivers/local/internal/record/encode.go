package record

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/logplug/logplug/sdk/logfile"
	"github.com/logplug/logplug/shared/logdriver"
)

// Format implements logfile.Format.
type Format struct {
	Framing
	context []byte // the record that tells the attributes of all messages; nil if there is none
	tag     byte   // that messages name it by
	inline  []byte // pairs that each message has itself
}

var _ logfile.Contextual = (*Format)(nil)

// New returns the format for a log each of whose messages has the given
// attributes before its own.
func New(attrs []logdriver.Attr) *Format {
	if len(attrs) == 0 {
		return &Format{}
	}
	pairs := appendPairs(nil, attrs)
	b := append(make([]byte, 1+sumBytes, 2*len(pairs)), kindOfContext)
	b = append(b, pairs...)
	b = seal(b, 0)
	if len(b) > maxContext {
		return &Format{inline: pairs}
	}
	return &Format{context: b, tag: tagOf(crc32.Checksum(append([]byte{kindOfContext}, pairs...), castagnoli))}
}

func tagOf(sum uint32) byte { return byte(sum) }

// NewEncoder implements logfile.Format.
func (f *Format) NewEncoder() logfile.Encoder { return &encoder{Format: f, since: contextSpacing} }

// NewDecoder implements logfile.Format.
func (f *Format) NewDecoder() logfile.Decoder { return &decoder{} }

// ContextBytes implements logfile.Contextual.
func (f *Format) ContextBytes() int64 { return contextSpacing + maxContext }

type encoder struct {
	*Format
	since int // bytes since the last context
}

// Append implements logfile.Encoder.
func (e *encoder) Append(dst []byte, m *logdriver.Message) []byte {
	if e.context != nil && e.since >= contextSpacing {
		dst = append(dst, e.context...)
		e.since = 0
	}
	from := len(dst)
	dst = append(dst, 0, 0, 0, 0, 0, e.kind(m)) // seal fills in the rest
	dst = binary.LittleEndian.AppendUint64(dst, uint64(logfile.Nanos(m.Timestamp)))
	if e.context != nil {
		dst = append(dst, e.tag)
	}
	if kindOfSource(m.Source) == sourceNamed {
		dst = appendText(dst, m.Source)
	}
	if m.Partial.IsPartial() {
		dst = appendText(dst, m.Partial.ID)
		dst = binary.AppendUvarint(dst, uint64(m.Partial.Ordinal))
	}
	if n := len(e.inline) + pairsBytes(m.Attrs); n > 0 {
		dst = binary.AppendUvarint(dst, uint64(n))
		dst = append(dst, e.inline...)
		dst = appendPairs(dst, m.Attrs)
	}
	dst = append(dst, m.Line...)
	dst = seal(dst, from)
	e.since += len(dst) - from
	return dst
}

// kind returns the byte that tells which fields m has.
func (e *encoder) kind(m *logdriver.Message) byte {
	k := kindOfSource(m.Source)
	if e.context != nil {
		k |= hasContext
	}
	if len(e.inline) > 0 || len(m.Attrs) > 0 {
		k |= hasAttrs
	}
	if m.Partial.IsPartial() {
		k |= isPart
		if m.Partial.Last {
			k |= isLast
		}
	}
	if m.Unterminated {
		k |= unterminated
	}
	return k
}

func kindOfSource(source string) byte {
	switch source {
	case "":
		return sourceNone
	case "stdout":
		return sourceStdout
	case "stderr":
		return sourceStderr
	}
	return sourceNamed
}

// seal makes a record of dst[from:], which has room for its beginning.
func seal(dst []byte, from int) []byte {
	sum := crc32.Checksum(dst[from+1+sumBytes:], castagnoli)
	binary.LittleEndian.PutUint32(dst[from+1:], sum)
	dst = stuff(dst, from+1)
	dst[from] = start
	return append(dst, end)
}

func appendText(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

func appendPairs(dst []byte, attrs []logdriver.Attr) []byte {
	for i := range attrs {
		dst = appendText(dst, attrs[i].Key)
		dst = appendText(dst, attrs[i].Value)
	}
	return dst
}

// pairsBytes is how much appendPairs appends.
func pairsBytes(attrs []logdriver.Attr) int {
	n := 0
	for i := range attrs {
		n += textBytes(attrs[i].Key) + textBytes(attrs[i].Value)
	}
	return n
}

func textBytes(s string) int {
	n := len(s) + 1
	for l := len(s); l >= 0x80; l >>= 7 {
		n++
	}
	return n
}
