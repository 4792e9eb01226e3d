package record

import (
	"math/bits"
	"unicode/utf8"
)

const (
	wordBytes  = 8
	blockBytes = 4 * wordBytes
	each       = 0x0101010101010101 // one in each byte of a word
	tops       = 0x80 * each
)

// plainPrefix returns how many bytes at the beginning of s stand for themselves
// in a JSON string and are ASCII. It looks at many bytes at a time.
func plainPrefix[S []byte | string](s S) int {
	i := 0
	for ; len(s)-i >= blockBytes; i += blockBytes {
		b := s[i : i+blockBytes]
		if plain(word(b, 0))&plain(word(b, 8))&plain(word(b, 16))&plain(word(b, 24))&tops != tops {
			break
		}
	}
	for ; len(s)-i >= wordBytes; i += wordBytes {
		if p := plain(word(s, i)) & tops; p != tops {
			return i + bits.TrailingZeros64(p^tops)/8
		}
	}
	if i > 0 && i < len(s) { // the end once more, with what is before it
		if p := plain(word(s, len(s)-wordBytes)) & tops; p != tops {
			return len(s) - wordBytes + bits.TrailingZeros64(p^tops)/8
		}
		return len(s)
	}
	for ; i < len(s); i++ {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			break
		}
	}
	return i
}

// word returns the eight bytes of s from i on.
func word[S []byte | string](s S, i int) uint64 {
	w := s[i : i+wordBytes]
	return uint64(w[0]) | uint64(w[1])<<8 | uint64(w[2])<<16 | uint64(w[3])<<24 |
		uint64(w[4])<<32 | uint64(w[5])<<40 | uint64(w[6])<<48 | uint64(w[7])<<56
}

// plain has the top bits set of those bytes of x that are ASCII, but no control character, quote or
// backslash. Only the lowest byte that is not is certain to have none; the other bits are anything.
func plain(x uint64) uint64 {
	// A control character or a quote with this bit the other way round is not above a space.
	const flip = '"' ^ ' '
	control := (x ^ flip*each) + (0x7f-' ')*each
	slash := (x ^ '\\'*each) + 0x7f*each
	return control & slash &^ x
}
