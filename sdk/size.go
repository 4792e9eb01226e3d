package sdk

import (
	"errors"
	"math"

	"github.com/docker/go-units"
)

// Size is an option's value in bytes, written with an optional binary suffix:
// 4096, 64k, 10m, 1.5GiB.
type Size int64

// String returns s with a binary unit, as in "10MiB".
func (s Size) String() string { return units.BytesSize(float64(s)) }

// ParseSize reads a size of 0 or more.
func ParseSize(text string) (Size, error) {
	n, err := units.RAMInBytes(text)
	if err != nil || n < 0 || n > math.MaxInt64/2 {
		return 0, errors.New("not a size of 0 or more, such as 4096, 64k or 10m")
	}
	return Size(n), nil
}
