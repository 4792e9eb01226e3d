//go:build linux

package carry

// notUTF8 are the bytes that never occur in UTF-8 (RFC 3629, section 1).
const notUTF8 = "\xc0\xc1\xf5\xf6\xf7\xf8\xf9\xfa\xfb\xfc\xfd\xfe\xff"

// fillBytes is the length after which the fill repeats itself.
const fillBytes = 251

// filler returns the fill of a file.
func filler(seed uint64) (pattern [fillBytes]byte) {
	for i := range pattern {
		seed = seed*6364136223846793005 + 1442695040888963407 // Knuth's MMIX generator
		pattern[i] = notUTF8[(seed>>33)%uint64(len(notUTF8))]
	}
	return pattern
}

// fill covers b with the pattern.
func fill(b []byte, pattern *[fillBytes]byte) {
	n := copy(b, pattern[:])
	for n < len(b) {
		// What is copied is a multiple of the pattern's length.
		n += copy(b[n:], b[:n-n%fillBytes])
	}
}

// written returns how many bytes at the front of b, which was filled, have been
// written since.
func written(b []byte, pattern *[fillBytes]byte) int {
	n := len(b)
	for n > 0 && b[n-1] == pattern[(n-1)%fillBytes] {
		n--
	}
	return n
}
