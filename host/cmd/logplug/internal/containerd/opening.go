//go:build linux

package containerd

import (
	"context"
	"errors"
	"time"

	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/shared/logdriver"
)

// openRetry is how often is looked whether a log is still in use; drivers wait themselves.
const openRetry = 50 * time.Millisecond

// openLog opens the container's log. One that is in use is waited for, as the job is: what
// the container left when it was logged alone is being delivered to it.
func (c *Config) openLog(ctx context.Context, open func(context.Context) (host.Logger, error)) (host.Logger, error) {
	deadline := time.Now().Add(c.ClaimLimit())
	tick := time.NewTicker(openRetry)
	defer tick.Stop()
	for {
		l, err := open(ctx)
		if !errors.Is(err, logdriver.ErrLogBusy) || !time.Now().Before(deadline) {
			return l, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, err
		}
	}
}
