package logfile

import (
	"math"
	"time"
)

var (
	minNano = time.Unix(0, math.MinInt64)
	maxNano = time.Unix(0, math.MaxInt64)
)

// Nanos is t in nanoseconds since 1970, with times that do not fit, before 1678 or
// after 2261, moved to the nearest that does. It keeps the order of times.
func Nanos(t time.Time) int64 {
	const second = int64(time.Second)
	if s := t.Unix(); s > math.MinInt64/second && s < math.MaxInt64/second {
		return s*second + int64(t.Nanosecond())
	}
	switch {
	case t.Before(minNano):
		return math.MinInt64
	case t.After(maxNano):
		return math.MaxInt64
	}
	return t.UnixNano()
}
