// Package record is the format of the driver local: compact binary records that
// begin with 0x1E (record separator) and end with 0x0A (line feed), as those of
// RFC 7464 do.
//
//	record    0x1E stuffed(sum kind content) 0x0A
//	sum       CRC-32C (RFC 3720, appendix B.4) of kind and content, 4 bytes, little-endian
//	kind      1 byte: below 0x80 a message, whose fields it tells; 0x80 a context;
//	          records of other kinds are passed over
//
// In what is stuffed, each 0x0A, 0x1E and 0x10 is replaced by 0x10 and that byte
// XOR 0x20, as in RFC 1662, section 4.2. A record thus has no length that
// could be wrong: the two bytes that frame it occur nowhere else, whatever a
// message says, so that readers find records from any place, forwards and
// backwards, and damage costs the records that it touches and no others.
//
//	message   time [context] [source] [partial] [attributes] line
//	time      nanoseconds since 1970-01-01 UTC, int64, 8 bytes, little-endian
//	context   if kind has 0x40: 1 byte, the lowest of the sum of the context whose
//	          attributes precede those of the message
//	source    if kind&3 is 3: text; 0 is "", 1 "stdout", 2 "stderr"
//	partial   if kind has 0x08: ID text, ordinal varint; 0x10 marks the last part
//	attributes if kind has 0x04: text, of pairs of key and value, each a text
//	line      the rest, without a final newline; kind has 0x20 if its source ended
//	          without one
//	context   pairs of key and value, each a text, to the end of the record
//	text      length varint, bytes
//	varint    unsigned LEB128, as in Protocol Buffers
//
// A context holds the attributes that all messages of a log have. There is one
// before the first record of a file that needs it, and again after every 64 KiB.
package record

import (
	"errors"
	"hash/crc32"
)

const (
	start  = 0x1e
	end    = '\n'
	escape = 0x10
	flip   = 0x20 // of the byte after escape

	sumBytes  = 4
	timeBytes = 8
	overhead  = 1 + sumBytes + 1 + timeBytes + 1 // of a message, but for stuffing and what is optional
)

// Bits of the kind of a message.
const (
	sourceNone    = 0x00
	sourceStdout  = 0x01
	sourceStderr  = 0x02
	sourceNamed   = 0x03
	hasAttrs      = 0x04
	isPart        = 0x08
	isLast        = 0x10
	unterminated  = 0x20
	hasContext    = 0x40
	otherKinds    = 0x80
	sourceBits    = 0x03
	kindOfContext = otherKinds
)

// Context records come after contextSpacing bytes of records. One that would be larger
// than maxContext is not made: each message then has all its attributes itself.
const (
	contextSpacing = 64 << 10
	maxContext     = 64 << 10
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var (
	errFrame = errors.New("not a log record")
	errSum   = errors.New("not a log record: its checksum does not match")
	errField = errors.New("not a log record: a field exceeds it")
)
