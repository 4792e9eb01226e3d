package host

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/logplug/logplug/host/internal/launch"
	pb "github.com/logplug/logplug/shared/proto/logplug/v1"
	"github.com/logplug/logplug/shared/wire"
)

// attached tells whether the driver is one that somebody else has started. Its
// process outlives sessions, and this host.
func (d *driver) attached() bool {
	_, ok := d.host.attachments[d.name]
	return ok
}

func (d *driver) attach() (*launch.Process, error) {
	return launch.Attach(d.ctx, launch.AttachConfig{
		Name: d.name, Attachment: d.host.attachments[d.name], Logger: d.log, StartTimeout: d.host.cfg.Timeouts.Start,
	})
}

// leave remembers the loggers of s, which has ended, and those of ids: the end of a
// session is not that of an attached process.
func (d *driver) leave(s *session, ids ...uint64) {
	if !d.attached() {
		return
	}
	s.mu.Lock()
	ids = slices.AppendSeq(ids, maps.Keys(s.loggers))
	clear(s.loggers)
	s.mu.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left = append(d.left, ids...)
}

// closeLeft closes what earlier sessions have left open: what a logger holds, such
// as a file, is not to be had twice.
func (s *session) closeLeft() error {
	d := s.driver
	d.mu.Lock()
	ids := d.left
	d.left = nil
	d.mu.Unlock()
	ctx, cancel := context.WithTimeout(d.ctx, d.host.cfg.Timeouts.Call)
	defer cancel()
	for i, id := range ids {
		_, err := s.client.Close(ctx, &pb.CloseRequest{Logger: id})
		err = wire.FromStatus(d.name, err)
		if err != nil && (ctx.Err() != nil || errors.Is(err, wire.ErrUnavailable)) {
			d.mu.Lock()
			d.left = append(d.left, ids[i:]...)
			d.mu.Unlock()
			return fmt.Errorf("closing the loggers that were left open in driver %s: %w", d.name, err)
		}
		if err != nil {
			d.log.Debug("closing a logger that was left open", "error", err)
		}
	}
	return nil
}
