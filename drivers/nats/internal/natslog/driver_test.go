package natslog

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/logplug/logplug/sdk/drivertest/receiver"
	"github.com/logplug/logplug/shared/logdriver"
)

// Open does not wait for a server that is known to be down, however long it may wait, and
// neither does it the second time.
func TestOpenWhileServerIsDown(t *testing.T) {
	port, err := receiver.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	opts, err := Driver().Options(map[string]string{"nats-url": fmt.Sprintf("nats://127.0.0.1:%d", port), "nats-timeout": "1h"})
	if err != nil {
		t.Fatal(err)
	}
	s := &service{links: newPool(), openWait: time.Hour}
	for range 2 { // the second one shares the first one's link
		opened := make(chan logdriver.Logger, 1)
		go func() {
			l, err := s.open(t.Context(), logdriver.Info{ContainerID: "id"}, opts)
			if err != nil {
				t.Error(err)
			}
			opened <- l
		}()
		select {
		case l := <-opened:
			if l == nil {
				return
			}
			defer l.Close()
			if _, err := l.(*logger).now(); err == nil || !strings.Contains(err.Error(), "refused") {
				t.Errorf("why there is no connection: %v", err)
			}
		case <-time.After(time.Minute):
			t.Fatal("it waits")
		}
	}
}
