package host

import (
	"math"
	"testing"

	"github.com/logplug/logplug/host/internal/spool"
)

// TestPositionsThatNoStreamGetsTo are claims to ignore.
func TestPositionsThatNoStreamGetsTo(t *testing.T) {
	for held, want := range map[uint64]uint64{
		0: 0, 1: 1, spool.MaxSkip: spool.MaxSkip, spool.MaxSkip + 1: 0, 1 << 50: 0, math.MaxUint64: 0,
	} {
		l := fakeLogger(fakeDriver(t, spool.Memory{}), "c", func(r *request) { r.goesOn = true })
		l.mu.Lock()
		l.goOn(held)
		l.mu.Unlock()
		if _, last := l.Position(); last != want {
			t.Errorf("the driver holds %d: the logger goes on behind %d, want %d", held, last, want)
		}
	}
}
