package wire

import "unicode/utf8"

const (
	// internLimit is how many strings an interner remembers.
	internLimit = 1024
	// internBytes is the longest string that it remembers.
	internBytes = 256
)

// interner turns recurring bytes into the same string without allocating.
type interner struct {
	last string // most messages come from the same source as the one before
	m    map[string]string
}

func (in *interner) intern(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	if string(b) == in.last {
		return in.last
	}
	if s, ok := in.m[string(b)]; ok {
		in.last = s
		return s
	}
	s := string(b)
	if len(b) > internBytes {
		return s
	}
	if in.m == nil || len(in.m) >= internLimit {
		in.m = make(map[string]string)
	}
	in.m[s] = s
	in.last = s
	return s
}

// validUTF8 returns s cut to at most limit bytes, with invalid bytes replaced.
func validUTF8(s string, limit int) string {
	if len(s) > limit {
		s = s[:limit]
	}
	if utf8.ValidString(s) {
		return s
	}
	return toValidUTF8(s)
}

// cutText is validUTF8 for bytes, of which it copies no more than limit.
func cutText(b []byte, limit int) string {
	return validUTF8(string(b[:min(len(b), limit)]), limit)
}
