package record

import (
	"encoding/binary"
	"fmt"
	"testing"
)

func TestEightDigits(t *testing.T) {
	// All groups of four digits in both places: they do not depend on each other.
	for i := range uint32(1e4) {
		for _, n := range []uint32{i, i * 1e4, i*1e4 + i, i*1e4 + 9999 - i} {
			var got [8]byte
			binary.LittleEndian.PutUint64(got[:], eightDigits(n))
			if want := fmt.Sprintf("%08d", n); string(got[:]) != want {
				t.Fatalf("eightDigits(%d) = %s, want %s", n, got, want)
			}
		}
	}
}
