//go:build linux

package containerd

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/shared/logdriver"
)

// TestOpenBusyLog: a log that is in use is waited for, but not for ever.
func TestOpenBusyLog(t *testing.T) {
	t.Parallel()
	other := errors.New("other")
	cfg := Config{CloseTimeout: time.Second}
	for name, c := range map[string]struct {
		err  error
		busy time.Duration
		want error
	}{
		"for a while":  {logdriver.ErrLogBusy, cfg.ClaimLimit() / 2, nil},
		"for too long": {logdriver.ErrLogBusy, 2 * cfg.ClaimLimit(), logdriver.ErrLogBusy},
		"other error":  {other, time.Second, other},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				free := time.Now().Add(c.busy)
				_, err := cfg.openLog(t.Context(), func(context.Context) (host.Logger, error) {
					if time.Now().Before(free) {
						return nil, fmt.Errorf("open: %w", c.err)
					}
					return nil, nil
				})
				if !errors.Is(err, c.want) {
					t.Errorf("%v, want %v", err, c.want)
				}
			})
		})
	}
}
