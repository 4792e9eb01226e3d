// Moody is a driver for tests. It cannot open a logger before the file that its option
// names exists and is empty, and keeps nothing.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/logplug/logplug/sdk"
	"github.com/logplug/logplug/shared/logdriver"
)

type options struct {
	Until string `logplug:"until" help:"file that must exist"`
}

type logger struct{}

func (logger) Name() string { return "moody" }
func (logger) Close() error { return nil }

func (logger) Log(m *logdriver.Message) error {
	logdriver.PutMessage(m)
	return nil
}

func open(_ context.Context, _ logdriver.Info, o *options) (logdriver.Logger, error) {
	if o.Until != "" {
		reason, err := os.ReadFile(o.Until)
		if err != nil {
			return nil, fmt.Errorf("the sink is down: %w", err)
		}
		if len(reason) > 0 {
			return nil, fmt.Errorf("the sink says: %s", reason)
		}
	}
	return logger{}, nil
}

func main() {
	os.Exit(sdk.Main(sdk.Driver[options]{Name: "moody", Version: "1.0.0", Summary: "For tests", Open: open}))
}
