package host

import (
	"context"
	"slices"
	"sync"

	"github.com/logplug/logplug/host/internal/discover"
	"github.com/logplug/logplug/shared/logdriver"
)

// DriverInfo is one entry of a plugin directory.
type DriverInfo struct {
	// Name is the driver's name; empty if the file's name is not a driver's.
	Name string
	Path string
	// Skipped says why the file is refused; empty if it is not.
	Skipped string
	// Err says why the driver could not be described.
	Err error
	// Description is what the driver says of itself; nil with Skipped or Err, and if it
	// was not asked.
	Description *logdriver.Description
}

// probesAtOnce is how many drivers are started at the same time to be described.
const probesAtOnce = 4

// scan looks into the plugin directories.
func (h *Host) scan() []discover.Candidate { return h.pins.refuse(discover.Scan(h.cfg.PluginDirs)) }

// Drivers lists what is in the plugin directories, and the drivers that the host
// is attached to. Each usable driver is started, if it does not run, and
// described; a process that no logger uses afterwards goes on until the host is
// closed. With names, only drivers of these are started and described.
func (h *Host) Drivers(ctx context.Context, names ...string) []DriverInfo {
	var list []DriverInfo
	for name := range h.attachments {
		list = append(list, DriverInfo{Name: name})
	}
	for _, c := range h.scan() {
		if _, attached := h.attachments[c.Name]; attached && c.Name != "" {
			c.Skipped = "a running driver of this name is attached to instead"
		}
		list = append(list, DriverInfo{Name: c.Name, Path: c.Path, Skipped: c.Skipped})
	}
	var wg sync.WaitGroup
	slots := make(chan struct{}, probesAtOnce)
	for i := range list {
		if list[i].Skipped != "" || len(names) > 0 && !slices.Contains(names, list[i].Name) {
			continue
		}
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			list[i].describe(ctx, h)
		})
	}
	wg.Wait()
	return list
}

func (i *DriverInfo) describe(ctx context.Context, h *Host) {
	d, err := h.Describe(ctx, i.Name)
	if err != nil {
		i.Err = err
		return
	}
	i.Description = &d
}
