package record

import (
	"bytes"
	"testing"
	"unicode/utf8"
)

func TestPlainPrefix(t *testing.T) {
	for n := range 80 {
		for i := range n {
			for _, c := range []byte{0, 0x1f, ' ', '!', '"', '#', '[', '\\', ']', 0x7f, 0x80, 0xff} {
				s := bytes.Repeat([]byte{'~'}, n)
				s[i] = c
				want := n
				if c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
					want = i
				}
				if got := plainPrefix(s); got != want {
					t.Fatalf("plainPrefix(%q) = %d, want %d", s, got, want)
				}
			}
		}
	}
}
