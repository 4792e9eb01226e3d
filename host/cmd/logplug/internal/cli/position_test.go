package cli

import (
	"slices"
	"testing"
	"time"

	"github.com/logplug/logplug/shared/logdriver"
	"pgregory.net/rapid"
)

// readModel is what a driver returns of a log, as indices, for a ReadConfig.
func readModel(log []time.Time, cfg logdriver.ReadConfig) (indices []int) {
	first := slices.IndexFunc(log, func(at time.Time) bool { return !at.Before(cfg.Since) })
	if first < 0 {
		return nil
	}
	for i := first; i < len(log); i++ {
		indices = append(indices, i)
	}
	return indices
}

// TestPositionResumes interrupts a reading again and again, of a log whose clock
// jumps about, and demands every message once.
func TestPositionResumes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		base := time.Unix(1000, 0)
		var log []time.Time
		for _, s := range rapid.SliceOfN(rapid.IntRange(0, 5), 0, 30).Draw(t, "seconds") {
			log = append(log, base.Add(time.Duration(s)*time.Second))
		}
		var (
			p   position
			got []int
		)
		for {
			cfg, skip := p.resume(logdriver.ReadConfig{Tail: -1})
			indices := readModel(log, cfg)
			limit := skip + rapid.IntRange(1, 4).Draw(t, "messages")
			for n, i := range indices[:min(limit, len(indices))] {
				p.note(log[i], n < skip)
				if n >= skip {
					got = append(got, i)
				}
			}
			if limit >= len(indices) {
				break
			}
		}
		for i := range got {
			if got[i] != i {
				t.Fatalf("read %v of %d messages", got, len(log))
			}
		}
		if len(got) != len(log) {
			t.Fatalf("read %d of %d messages", len(got), len(log))
		}
	})
}
