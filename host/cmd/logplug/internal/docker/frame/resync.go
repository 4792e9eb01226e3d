package frame

import (
	"bytes"
	"encoding/binary"

	"google.golang.org/protobuf/encoding/protowire"
)

// The beginnings of frames that a daemon writes: the source comes first, and is one
// of these.
var (
	stdoutStart = []byte("\x0a\x06stdout\x10")
	stderrStart = []byte("\x0a\x06stderr\x10")
)

// Resync returns how many bytes of b, which begins with a corrupt frame, to skip. What
// follows is a frame, or may be one once more bytes are there.
func Resync(b []byte) int {
	for at := 1; at < len(b); at++ {
		// A source's tag and length are in few places.
		if len(b)-at > HeaderBytes+1 {
			next := bytes.Index(b[at+HeaderBytes:], stdoutStart[:2])
			if next < 0 {
				at = len(b) - HeaderBytes - 1
			} else {
				at += next
			}
		}
		if mayBegin(b[at:]) {
			return at
		}
	}
	return len(b)
}

// mayBegin tells whether a frame as a daemon writes it begins with b, as far as b
// goes.
func mayBegin(b []byte) bool {
	if len(b) < HeaderBytes {
		return true
	}
	size := binary.BigEndian.Uint32(b)
	if size < uint32(len(stdoutStart)) || size > MaxBytes {
		return false
	}
	body := b[HeaderBytes:]
	head := body[:min(len(body), len(stdoutStart))]
	if !bytes.HasPrefix(stdoutStart, head) && !bytes.HasPrefix(stderrStart, head) {
		return false
	}
	if len(body) >= int(size) {
		var e Entry
		return e.decode(body[:size])
	}
	return fits(body, int(size))
}

// fits tells whether the line of an entry of size bytes, which begins with body,
// ends within it. It keeps a chance match from being waited for.
func fits(body []byte, size int) bool {
	if len(body) <= len(stdoutStart) {
		return true
	}
	rest := body[len(stdoutStart):]
	_, n := protowire.ConsumeVarint(rest)
	if n < 0 {
		return len(rest) < 10
	}
	if rest = rest[n:]; len(rest) == 0 {
		return true
	}
	if rest[0] != fieldLine<<3|byte(protowire.BytesType) {
		return false
	}
	length, m := protowire.ConsumeVarint(rest[1:])
	return m < 0 && len(rest) < 11 || m >= 0 && length <= uint64(size)
}
