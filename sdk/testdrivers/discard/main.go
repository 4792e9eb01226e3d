// Logplug-driver-discard takes messages and forgets them, for benchmarks.
package main

import (
	"context"
	"os"

	"github.com/logplug/logplug/sdk"
	"github.com/logplug/logplug/shared/logdriver"
)

type options struct{}

type logger struct{}

func (logger) Name() string { return "discard" }
func (logger) Close() error { return nil }
func (logger) Log(m *logdriver.Message) error {
	logdriver.PutMessage(m)
	return nil
}
func (logger) LogBatch(context.Context, []*logdriver.Message) error { return nil }

func main() {
	os.Exit(sdk.Main(sdk.Driver[options]{
		Name: "discard", Version: "1.0.0", Summary: "Forgets messages",
		Open: func(context.Context, logdriver.Info, *options) (logdriver.Logger, error) { return logger{}, nil },
	}))
}
