package host_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/shared/logdriver"
)

// TestPosition: a stream that the caller gives goes on in another host, as far as the
// driver remembers.
func TestPosition(t *testing.T) {
	stream := strings.Repeat("5a", 16)
	for driver, remembers := range map[string]bool{"jsonfile": true, "sink": false} {
		log := filepath.Join(t.TempDir(), "log")
		info := victimInfo(driver, log)
		info.Stream = stream
		for round := range uint64(3) {
			want := 10 * round
			if !remembers {
				want = 0
			}
			h, err := host.New(hostConfig(t, nil))
			if err != nil {
				t.Fatal(err)
			}
			l, err := h.Open(context.Background(), driver, info)
			if err != nil {
				t.Fatal(err)
			}
			if s, last := l.(host.Positioner).Position(); s != stream || last != want {
				t.Errorf("%s, round %d: position %s, %d, want %d", driver, round, s, last, want)
			}
			for n := range 10 {
				if err := l.Log(message("message %d", n)); err != nil {
					t.Fatal(err)
				}
			}
			if _, last := l.(host.Positioner).Position(); last != want+10 {
				t.Errorf("%s, round %d: position %d after 10 messages", driver, round, last)
			}
			if err := h.Close(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestPositionOfNoStream(t *testing.T) {
	h := newHost(t, nil)
	_, err := h.Open(context.Background(), "discard", logdriver.Info{ContainerName: "x", Stream: "nonsense"})
	if err == nil || !strings.Contains(err.Error(), "Stream") {
		t.Errorf("got %v", err)
	}
}
