package natslog

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// maxTokenBytes bounds what an ID takes in a subject. A server's limit for a whole
// line of its protocol is 4096 bytes.
const maxTokenBytes = 200

// token returns id as one token of a subject, different for different IDs: bytes
// other than letters, digits, "_" and "-" are written as "%" and two hexadecimal
// digits. Of an ID that is too long, the beginning and a digest remain.
func token(id string) string {
	var b strings.Builder
	for i := range len(id) {
		c := id[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	if b.Len() <= maxTokenBytes {
		return b.String()
	}
	sum := sha256.Sum256([]byte(id))
	digest := hex.EncodeToString(sum[:])
	return b.String()[:maxTokenBytes-len(digest)-1] + "~" + digest
}

// covers tells whether a stream that listens to pattern takes a subject. In a
// pattern "*" stands for one token and ">" for one or more at the end.
func covers(pattern, subject string) bool {
	p, s := strings.Split(pattern, "."), strings.Split(subject, ".")
	for i, t := range p {
		switch {
		case t == ">":
			return len(s) > i
		case i >= len(s), t != "*" && t != s[i]:
			return false
		}
	}
	return len(p) == len(s)
}
