// Package frame encodes and decodes what Docker's daemon and a log driver plugin
// exchange: a 32-bit big-endian length, and a protobuf message of that length.
//
// Its fields are source = 1 (string), time_nano = 2 (int64), line = 3 (bytes),
// partial = 4 (bool) and partial_log_metadata = 5 (message) with last = 1 (bool),
// id = 2 (string) and ordinal = 3 (int32).
package frame

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/logplug/logplug/shared/logdriver"
	"google.golang.org/protobuf/encoding/protowire"
)

const (
	// HeaderBytes is the size of the length in front of a frame's message.
	HeaderBytes = 4
	// MaxBytes is the most that a frame's message may have: a line of the largest
	// size and what belongs to it.
	MaxBytes = logdriver.MaxLineBytes + logdriver.MaxAttrBytes
)

const (
	fieldSource  = 1
	fieldTime    = 2
	fieldLine    = 3
	fieldPartial = 4
	fieldMeta    = 5

	fieldLast    = 1
	fieldID      = 2
	fieldOrdinal = 3
)

// ErrCorrupt is wrapped by the errors of Next.
var ErrCorrupt = errors.New("corrupt frame")

// Entry is a decoded frame. Its slices point into the bytes that it was decoded
// from.
type Entry struct {
	Source   []byte
	Line     []byte // without newline
	TimeNano int64  // since 1970
	// Partial tells that this is a part of a line; it is set in the last one, too.
	Partial bool
	// PartialID, Ordinal (from 1) and Last describe it. Daemons before 19.03 send
	// none of them.
	PartialID []byte
	Ordinal   int
	Last      bool
}

// Next decodes the frame that b begins with. n is its length with the header, and 0
// where b ends before the frame does. The error wraps ErrCorrupt.
func Next(b []byte) (e Entry, n int, err error) {
	if len(b) < HeaderBytes {
		return e, 0, nil
	}
	size := binary.BigEndian.Uint32(b)
	if size > MaxBytes {
		return e, 0, fmt.Errorf("%w: its length is %d, the limit %d", ErrCorrupt, size, MaxBytes)
	}
	n = HeaderBytes + int(size)
	if len(b) < n {
		return e, 0, nil
	}
	if !e.decode(b[HeaderBytes:n]) {
		return Entry{}, 0, fmt.Errorf("%w: %d bytes that are not a log entry", ErrCorrupt, size)
	}
	return e, n, nil
}

func (e *Entry) decode(b []byte) bool {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return false
		}
		b = b[n:]
		switch {
		case num == fieldSource && typ == protowire.BytesType:
			e.Source, n = protowire.ConsumeBytes(b)
		case num == fieldTime && typ == protowire.VarintType:
			var v uint64
			v, n = protowire.ConsumeVarint(b)
			e.TimeNano = int64(v)
		case num == fieldLine && typ == protowire.BytesType:
			e.Line, n = protowire.ConsumeBytes(b)
		case num == fieldPartial && typ == protowire.VarintType:
			var v uint64
			v, n = protowire.ConsumeVarint(b)
			e.Partial = v != 0
		case num == fieldMeta && typ == protowire.BytesType:
			var meta []byte
			if meta, n = protowire.ConsumeBytes(b); n >= 0 && !e.decodeMeta(meta) {
				return false
			}
		default:
			n = protowire.ConsumeFieldValue(num, typ, b)
		}
		if n < 0 {
			return false
		}
		b = b[n:]
	}
	return len(e.Line) <= logdriver.MaxLineBytes
}

func (e *Entry) decodeMeta(b []byte) bool {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return false
		}
		b = b[n:]
		switch {
		case num == fieldLast && typ == protowire.VarintType:
			var v uint64
			v, n = protowire.ConsumeVarint(b)
			e.Last = v != 0
		case num == fieldID && typ == protowire.BytesType:
			e.PartialID, n = protowire.ConsumeBytes(b)
		case num == fieldOrdinal && typ == protowire.VarintType:
			var v uint64
			v, n = protowire.ConsumeVarint(b)
			e.Ordinal = int(int32(v))
		default:
			n = protowire.ConsumeFieldValue(num, typ, b)
		}
		if n < 0 {
			return false
		}
		b = b[n:]
	}
	return true
}

// Append appends m as a frame to b.
func Append(b []byte, m *logdriver.Message) []byte {
	start := len(b)
	b = append(b, 0, 0, 0, 0)
	if m.Source != "" {
		b = protowire.AppendTag(b, fieldSource, protowire.BytesType)
		b = protowire.AppendString(b, m.Source)
	}
	b = protowire.AppendTag(b, fieldTime, protowire.VarintType)
	b = protowire.AppendVarint(b, uint64(m.Timestamp.UnixNano()))
	if len(m.Line) > 0 {
		b = protowire.AppendTag(b, fieldLine, protowire.BytesType)
		b = protowire.AppendBytes(b, m.Line)
	}
	if m.Partial.IsPartial() {
		b = protowire.AppendTag(b, fieldPartial, protowire.VarintType)
		b = protowire.AppendVarint(b, 1)
		b = protowire.AppendTag(b, fieldMeta, protowire.BytesType)
		b = protowire.AppendVarint(b, uint64(metaSize(m.Partial)))
		b = appendMeta(b, m.Partial)
	}
	binary.BigEndian.PutUint32(b[start:], uint32(len(b)-start-HeaderBytes))
	return b
}

func appendMeta(b []byte, p logdriver.Partial) []byte {
	if p.Last {
		b = protowire.AppendTag(b, fieldLast, protowire.VarintType)
		b = protowire.AppendVarint(b, 1)
	}
	b = protowire.AppendTag(b, fieldID, protowire.BytesType)
	b = protowire.AppendString(b, p.ID)
	b = protowire.AppendTag(b, fieldOrdinal, protowire.VarintType)
	return protowire.AppendVarint(b, uint64(int64(int32(p.Ordinal))))
}

func metaSize(p logdriver.Partial) int {
	n := protowire.SizeTag(fieldID) + protowire.SizeBytes(len(p.ID)) +
		protowire.SizeTag(fieldOrdinal) + protowire.SizeVarint(uint64(int64(int32(p.Ordinal))))
	if p.Last {
		n += protowire.SizeTag(fieldLast) + 1
	}
	return n
}
