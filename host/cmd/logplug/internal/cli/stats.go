package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/docker/go-units"
	"github.com/logplug/logplug/host"
)

// printStats shows the logger's counters, if that was asked for.
func (r *runner) printStats() {
	st := r.logger.Stats()
	switch r.opts.stats {
	case formatJSON:
		_ = writeLine(r.notices, &st) // there is nobody left to tell
	case formatText:
		r.notices.Printf("messages: %s", statsText(&st))
		if st.Cache != nil {
			r.notices.Printf("in the cache: %s", statsText(st.Cache))
		}
	}
}

func statsText(st *host.LoggerStats) string {
	parts := []string{"accepted " + countText(st.Accepted), "acknowledged " + countText(st.Acked)}
	dropped := "dropped " + countText(st.Dropped)
	for _, reason := range slices.Sorted(maps.Keys(st.DroppedBy)) {
		dropped += fmt.Sprintf(", %d as %s", st.DroppedBy[reason].Messages, reason)
	}
	parts = append(parts, dropped, "failed "+countText(st.Failed), "left in the spool "+countText(st.Spooled),
		fmt.Sprintf("resent %d", st.Resent), fmt.Sprintf("waits %d", st.Waits))
	return strings.Join(parts, "; ")
}

// countText is a number of messages with their encoded size.
func countText(c host.Count) string {
	if c.Messages == 0 {
		return "0"
	}
	return fmt.Sprintf("%d (%s)", c.Messages, units.BytesSize(float64(c.Bytes)))
}
