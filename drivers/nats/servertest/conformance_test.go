package servertest

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/logplug/logplug/sdk/drivertest"
)

// TestConformance checks the driver as a process: with a stream of its own, and
// with one that takes no atomic batches, as those of servers before 2.12.
func TestConformance(t *testing.T) {
	n := startNode(t)
	if _, err := n.client(t).CreateStream(t.Context(), jetstream.StreamConfig{Name: "PLAIN", Subjects: []string{"plain.>"}}); err != nil {
		t.Fatal(err)
	}
	drivertest.Run(t, drivertest.Self(t, "nats"), drivertest.Options{
		Wait: time.Minute, Timeout: 5 * time.Minute,
		Config: map[string]string{"nats-url": n.url()},
		Sets: []drivertest.OptionSet{{Name: "singles", Config: map[string]string{
			"nats-stream": "PLAIN", "nats-subject-prefix": "plain", "nats-create": "false",
		}}},
	})
}
