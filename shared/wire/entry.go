package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/bits"
	"time"

	"github.com/logplug/logplug/shared/logdriver"
	"google.golang.org/protobuf/encoding/protowire"
)

// Tags of logplug.v1.Entry and its parts: field number << 3 | wire type.
const (
	tagEntryTime         = 1<<3 | 1
	tagEntrySource       = 2<<3 | 2
	tagEntryLine         = 3<<3 | 2
	tagEntryAttr         = 4<<3 | 2
	tagEntryPartial      = 5<<3 | 2
	tagEntryUnterminated = 6 << 3
	tagEntryError        = 7<<3 | 2
	tagEntryCheck        = 15<<3 | 5

	tagAttrKey   = 1<<3 | 2
	tagAttrValue = 2<<3 | 2

	tagPartialID      = 1<<3 | 2
	tagPartialOrdinal = 2 << 3
	tagPartialLast    = 3 << 3

	tagBatchEntry = 3<<3 | 2
	tagReadEntry  = 1<<3 | 2
)

// MaxEntryBytes is the most that one encoded entry may take: the limits of
// package logdriver with room for the encoding.
const MaxEntryBytes = logdriver.MaxLineBytes + logdriver.MaxAttrBytes +
	logdriver.MaxAttrs*16 + logdriver.MaxSourceBytes + logdriver.MaxPartialIDBytes + maxErrorBytes + 256

// maxErrorBytes bounds Entry.error; longer texts are cut.
const maxErrorBytes = 4 << 10

// EntrySize returns the number of bytes that AppendEntry adds for m.
func EntrySize(m *logdriver.Message) int { return Measure(m).Size() }

// AppendEntry appends m as an element of Batch.entries.
func AppendEntry(dst []byte, m *logdriver.Message) []byte {
	return appendEntry(dst, tagBatchEntry, m, entrySize(m))
}

// Measured is the size of a message's entry, which is found out once where it is
// used several times.
type Measured int

// Measure returns the size of m's entry.
func Measure(m *logdriver.Message) Measured { return Measured(entrySize(m)) }

// Size returns the number of bytes that AppendEntry adds.
func (n Measured) Size() int { return 1 + varintSize(uint64(n)) + int(n) }

// CheckedSize returns the number of bytes that AppendCheckedEntry adds.
func (n Measured) CheckedSize() int {
	size := int(n) + CheckBytes
	return 1 + varintSize(uint64(size)) + size
}

// AppendEntry is the function AppendEntry for the message that was measured.
func (n Measured) AppendEntry(dst []byte, m *logdriver.Message) []byte {
	return appendEntry(dst, tagBatchEntry, m, int(n))
}

// AppendCheckedEntry is AppendEntry with a checksum at the end: CRC-32C
// (Castagnoli), started with seed, of all of the entry before it.
func (n Measured) AppendCheckedEntry(dst []byte, m *logdriver.Message, seed uint32) []byte {
	dst = append(dst, tagBatchEntry)
	dst = appendSize(dst, int(n)+CheckBytes)
	start := len(dst)
	dst = appendEntryFields(dst, m)
	sum := crc32.Update(seed, castagnoli, dst[start:])
	return protowire.AppendFixed32(append(dst, tagEntryCheck), sum)
}

// CheckBytes is the size of the checksum in a checked entry.
const CheckBytes = 1 + 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// CheckedEntry returns the length of the checked entry at the front of b, or
// false if there is none that is whole and intact.
func CheckedEntry(b []byte, seed uint32) (n int, ok bool) {
	if len(b) == 0 || b[0] != tagBatchEntry {
		return 0, false
	}
	entry, n := protowire.ConsumeBytes(b[1:])
	if n < 0 || len(entry) < CheckBytes {
		return 0, false
	}
	body, check := entry[:len(entry)-CheckBytes], entry[len(entry)-CheckBytes:]
	sum, _ := protowire.ConsumeFixed32(check[1:])
	if check[0] != tagEntryCheck || sum != crc32.Update(seed, castagnoli, body) {
		return 0, false
	}
	return 1 + n, true
}

func entrySize(m *logdriver.Message) int {
	n := 0
	if !m.Timestamp.IsZero() {
		n += 1 + 8
	}
	n += bytesFieldSize(len(m.Source)) + bytesFieldSize(len(m.Line))
	for i := range m.Attrs {
		s := attrSize(&m.Attrs[i])
		n += 1 + varintSize(uint64(s)) + s
	}
	if m.Partial.IsPartial() {
		s := partialSize(&m.Partial)
		n += 1 + varintSize(uint64(s)) + s
	}
	if m.Unterminated {
		n += 2
	}
	if m.Err != nil {
		n += bytesFieldSize(len(errorText(m.Err)))
	}
	return n
}

func appendEntry(dst []byte, tag byte, m *logdriver.Message, size int) []byte {
	dst = append(dst, tag)
	dst = appendSize(dst, size)
	return appendEntryFields(dst, m)
}

// appendSize appends a length as a varint, which mostly takes one or two bytes.
func appendSize(dst []byte, n int) []byte {
	switch {
	case n < 1<<7:
		return append(dst, byte(n))
	case n < 1<<14:
		return append(dst, byte(n)|0x80, byte(n>>7))
	}
	return protowire.AppendVarint(dst, uint64(n))
}

func appendEntryFields(dst []byte, m *logdriver.Message) []byte {
	if !m.Timestamp.IsZero() {
		dst = append(dst, tagEntryTime)
		dst = protowire.AppendFixed64(dst, uint64(m.Timestamp.UnixNano()))
	}
	dst = appendString(dst, tagEntrySource, m.Source)
	if len(m.Line) > 0 {
		dst = append(dst, tagEntryLine)
		dst = appendSize(dst, len(m.Line))
		dst = append(dst, m.Line...)
	}
	for i := range m.Attrs {
		a := &m.Attrs[i]
		dst = append(dst, tagEntryAttr)
		dst = protowire.AppendVarint(dst, uint64(attrSize(a)))
		dst = appendString(dst, tagAttrKey, a.Key)
		dst = appendString(dst, tagAttrValue, a.Value)
	}
	if m.Partial.IsPartial() {
		dst = append(dst, tagEntryPartial)
		dst = protowire.AppendVarint(dst, uint64(partialSize(&m.Partial)))
		dst = appendPartial(dst, &m.Partial)
	}
	if m.Unterminated {
		dst = append(dst, tagEntryUnterminated, 1)
	}
	if m.Err != nil {
		dst = appendString(dst, tagEntryError, errorText(m.Err))
	}
	return dst
}

func appendPartial(dst []byte, p *logdriver.Partial) []byte {
	dst = appendString(dst, tagPartialID, p.ID)
	if p.Ordinal != 0 {
		dst = append(dst, tagPartialOrdinal)
		dst = protowire.AppendVarint(dst, uint64(p.Ordinal))
	}
	if p.Last {
		dst = append(dst, tagPartialLast, 1)
	}
	return dst
}

func appendString(dst []byte, tag byte, s string) []byte {
	if s == "" {
		return dst
	}
	dst = append(dst, tag)
	dst = appendSize(dst, len(s))
	return append(dst, s...)
}

func attrSize(a *logdriver.Attr) int {
	return bytesFieldSize(len(a.Key)) + bytesFieldSize(len(a.Value))
}

func partialSize(p *logdriver.Partial) int {
	n := bytesFieldSize(len(p.ID))
	if p.Ordinal != 0 {
		n += 1 + varintSize(uint64(p.Ordinal))
	}
	if p.Last {
		n += 2
	}
	return n
}

func bytesFieldSize(n int) int {
	if n == 0 {
		return 0
	}
	return 1 + varintSize(uint64(n)) + n
}

func varintSize(v uint64) int { return (bits.Len64(v|1) + 6) / 7 }

// errorText never returns the empty string: that would be no error.
func errorText(err error) string {
	s := err.Error()
	if s == "" {
		return "unknown error"
	}
	return validUTF8(s, maxErrorBytes)
}

// DecodeElement decodes what AppendEntry appended into m, which must be empty.
// The line is copied.
func DecodeElement(b []byte, m *logdriver.Message) error {
	elem, _, err := nextElement(b, tagBatchEntry)
	if err != nil {
		return malformed("entry", err)
	}
	return new(Decoder).decodeOwned(elem, m)
}

// ElementTime returns the time of the message that AppendEntry or
// Measured.AppendCheckedEntry put at the front of b, or the zero time if it has
// none.
func ElementTime(b []byte) time.Time {
	elem, _, err := nextElement(b, tagBatchEntry)
	if err != nil || len(elem) < 9 || elem[0] != tagEntryTime {
		return time.Time{}
	}
	v, _ := protowire.ConsumeFixed64(elem[1:])
	return time.Unix(0, int64(v)).UTC()
}

// Decoder decodes entries. It remembers the strings that it has met, so that
// sources and attributes cost no allocation when they recur. It is not safe for
// concurrent use; the zero value is ready.
type Decoder struct {
	strings interner
	source  string // of the last entry that had one
}

// DecodeEntry decodes the encoded Entry b into m, which must be empty. m.Line
// borrows b. Fields that are not known are skipped.
func (d *Decoder) DecodeEntry(b []byte, m *logdriver.Message) error {
	b = d.front(b, m)
	for len(b) > 0 {
		tag := b[0]
		switch {
		case tag == tagEntryTime && len(b) >= 9:
			v, _ := protowire.ConsumeFixed64(b[1:])
			if v != 0 {
				m.Timestamp = time.Unix(0, int64(v)).UTC()
			}
			b = b[9:]
		case tag == tagEntrySource || tag == tagEntryLine || tag == tagEntryAttr ||
			tag == tagEntryPartial || tag == tagEntryError:
			v, n := consumeBytes(b[1:])
			if n < 0 {
				return malformed("entry", protowire.ParseError(n))
			}
			b = b[1+n:]
			if err := d.bytesField(tag, v, m); err != nil {
				return err
			}
		case tag == tagEntryCheck && len(b) >= CheckBytes:
			b = b[CheckBytes:]
		case tag == tagEntryUnterminated:
			v, n := protowire.ConsumeVarint(b[1:])
			if n < 0 {
				return malformed("entry", protowire.ParseError(n))
			}
			m.Unterminated = v != 0
			b = b[1+n:]
		default:
			rest, err := skipField(b)
			if err != nil {
				return malformed("entry", err)
			}
			b = rest
		}
	}
	return nil
}

// front decodes what nearly all entries begin with as this package writes them: a time, the source
// that the entry before had, and a line. It returns the rest, which may be all.
func (d *Decoder) front(b []byte, m *logdriver.Message) (rest []byte) {
	const timeEnd = 9
	source := d.source
	lineAt := timeEnd + 2 + len(source)
	if len(source) > 0x7f || len(b) <= lineAt || b[0] != tagEntryTime || b[timeEnd] != tagEntrySource || int(b[timeEnd+1]) != len(source) ||
		b[lineAt] != tagEntryLine || string(b[timeEnd+2:lineAt]) != source {
		return b
	}
	line, n := consumeBytes(b[lineAt+1:])
	if n < 0 {
		return b
	}
	if t := binary.LittleEndian.Uint64(b[1:]); t != 0 {
		m.Timestamp = time.Unix(0, int64(t)).UTC()
	}
	m.Source = source
	m.Borrow(line)
	return b[lineAt+1+n:]
}

func (d *Decoder) bytesField(tag byte, v []byte, m *logdriver.Message) error {
	switch tag {
	case tagEntryLine:
		m.Borrow(v)
	case tagEntrySource:
		d.source = d.strings.intern(v)
		m.Source = d.source
	case tagEntryError:
		m.Err = errors.New(cutText(v, maxErrorBytes))
	case tagEntryAttr:
		return d.attr(v, m)
	case tagEntryPartial:
		return d.partial(v, &m.Partial)
	}
	return nil
}

func (d *Decoder) attr(b []byte, m *logdriver.Message) error {
	if len(m.Attrs) >= logdriver.MaxAttrs {
		return malformed("entry", fmt.Errorf("more than %d attributes", logdriver.MaxAttrs))
	}
	var a logdriver.Attr
	for len(b) > 0 {
		tag := b[0]
		if tag != tagAttrKey && tag != tagAttrValue {
			rest, err := skipField(b)
			if err != nil {
				return malformed("attribute", err)
			}
			b = rest
			continue
		}
		v, n := protowire.ConsumeBytes(b[1:])
		if n < 0 {
			return malformed("attribute", protowire.ParseError(n))
		}
		b = b[1+n:]
		if tag == tagAttrKey {
			a.Key = d.strings.intern(v)
		} else {
			a.Value = d.strings.intern(v)
		}
	}
	m.Attrs = append(m.Attrs, a)
	return nil
}

func (d *Decoder) partial(b []byte, p *logdriver.Partial) error {
	for len(b) > 0 {
		switch b[0] {
		case tagPartialID:
			v, n := protowire.ConsumeBytes(b[1:])
			if n < 0 {
				return malformed("partial", protowire.ParseError(n))
			}
			p.ID = d.strings.intern(v)
			b = b[1+n:]
		case tagPartialOrdinal, tagPartialLast:
			v, n := protowire.ConsumeVarint(b[1:])
			if n < 0 {
				return malformed("partial", protowire.ParseError(n))
			}
			if b[0] == tagPartialOrdinal {
				p.Ordinal = int(int32(v))
			} else {
				p.Last = v != 0
			}
			b = b[1+n:]
		default:
			rest, err := skipField(b)
			if err != nil {
				return malformed("partial", err)
			}
			b = rest
		}
	}
	return nil
}

var errOverlongTag = errors.New("tag is not in its shortest form")

// skipField returns what follows the field at the front of b. A tag that is
// longer than it need be is refused: nobody writes one, and it might hide a
// field that is known.
func skipField(b []byte) ([]byte, error) {
	if _, _, n := protowire.ConsumeTag(b); n > 1 && b[n-1] == 0 {
		return nil, errOverlongTag
	}
	_, _, n := protowire.ConsumeField(b)
	if n < 0 {
		return nil, protowire.ParseError(n)
	}
	return b[n:], nil
}

// nextElement returns the next length-delimited field with the given tag of the
// message b, skipping other fields. elem is nil when there is none left.
func nextElement(b []byte, tag byte) (elem, rest []byte, err error) {
	for len(b) > 0 {
		if b[0] == tag {
			v, n := consumeBytes(b[1:])
			if n < 0 {
				return nil, nil, protowire.ParseError(n)
			}
			if v == nil {
				v = b[1:1]
			}
			return v, b[1+n:], nil
		}
		if b, err = skipField(b); err != nil {
			return nil, nil, err
		}
	}
	return nil, nil, nil
}

// consumeBytes is protowire.ConsumeBytes with lengths of one or two bytes, which
// most have, first.
func consumeBytes(b []byte) (v []byte, n int) {
	if len(b) > 1 {
		size, head := int(b[0]), 1
		if size >= 0x80 {
			size, head = size&0x7f|int(b[1])<<7, 2
		}
		if size < 1<<14 && len(b)-head >= size { // the second byte ends the length
			return b[head : head+size : head+size], head + size
		}
	}
	return protowire.ConsumeBytes(b)
}

// ErrMalformed is wrapped by the errors of everything that decodes.
var ErrMalformed = errors.New("malformed message on the wire")

func malformed(what string, err error) error {
	return fmt.Errorf("%w: %s: %w", ErrMalformed, what, err)
}
