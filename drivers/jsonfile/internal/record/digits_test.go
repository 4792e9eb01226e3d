package record

import (
	"encoding/binary"
	"fmt"
	"testing"
)

func TestDigits(t *testing.T) {
	// All groups of four digits in both places: they do not depend on each other.
	for i := range uint32(1e4) {
		for _, n := range []uint32{i, i * 1e4, i*1e4 + i, i*1e4 + 9999 - i} {
			var got [8]byte
			binary.LittleEndian.PutUint64(got[:], eightDigits(n))
			if want := fmt.Sprintf("%08d", n); string(got[:]) != want {
				t.Fatalf("eightDigits(%d) = %s, want %s", n, got, want)
			}
			if back, ok := eightDigitsOf(eightDigits(n)); back != n || !ok {
				t.Fatalf("%d comes back as %d, %v", n, back, ok)
			}
		}
	}
	for place := range 8 {
		for c := range uint64(256) {
			x := eightDigits(12345678)&^(0xff<<(8*place)) | c<<(8*place)
			if _, ok := eightDigitsOf(x); ok != (c >= '0' && c <= '9') {
				t.Errorf("byte %#x in place %d: %v", c, place, ok)
			}
		}
	}
}
