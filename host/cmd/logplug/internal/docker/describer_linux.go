package docker

import (
	"context"
	"sync"
	"time"

	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/shared/logdriver"
)

const (
	// describePatience bounds asking a driver what it can do.
	describePatience = 3 * time.Second
	// describeAge is for how long its answer holds.
	describeAge = time.Minute
)

// describer asks drivers what they can do, and remembers the answers: a driver that
// hangs is still known.
type describer struct {
	host *host.Host

	mu    sync.Mutex
	known map[string]described
}

type described struct {
	logdriver.Description
	at time.Time
}

func (d *describer) describe(ctx context.Context, driver string) (logdriver.Description, error) {
	d.mu.Lock()
	k, ok := d.known[driver]
	d.mu.Unlock()
	if ok && time.Since(k.at) < describeAge {
		return k.Description, nil
	}
	ctx, cancel := context.WithTimeout(ctx, describePatience)
	defer cancel()
	desc, err := d.host.Describe(ctx, driver)
	if err != nil {
		if ok {
			return k.Description, nil
		}
		return desc, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.known[driver] = described{desc, time.Now()}
	return desc, nil
}
