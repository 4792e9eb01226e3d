package cli

import (
	"context"
	"os"
	"os/signal"

	"github.com/logplug/logplug/host/cmd/logplug/internal/child"
)

// interruptible returns a context that a signal cancels, with a *signalError. The
// second signal of a kind has its usual effect.
func interruptible() (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, child.EndingSignals()...)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if s, ok := <-signals; ok {
			signal.Stop(signals)
			cancel(&signalError{s})
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(signals)
		<-done
		cancel(nil)
	}
}
