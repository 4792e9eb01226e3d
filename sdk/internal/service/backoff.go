package service

import (
	"time"

	"github.com/cenkalti/backoff/v5"
)

const (
	defaultBackoffMin = 50 * time.Millisecond
	defaultBackoffMax = 5 * time.Second
)

// backoffRange bounds the time between attempts.
type backoffRange struct{ min, max time.Duration }

func newBackoffRange(lo, hi time.Duration) backoffRange {
	if lo <= 0 {
		lo = defaultBackoffMin
	}
	if hi <= 0 {
		hi = defaultBackoffMax
	}
	return backoffRange{lo, max(lo, hi)}
}

// start returns a jittered exponential backoff from its beginning.
func (r backoffRange) start() *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval = r.min, r.max
	b.Multiplier, b.RandomizationFactor = 2, 0.3
	b.Reset()
	return b
}
