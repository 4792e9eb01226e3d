package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/logplug/logplug/host/internal/launch"
	"github.com/logplug/logplug/shared/logdriver"
)

// NeedsError reports a driver that needs what its sandbox does not grant.
type NeedsError struct {
	// Driver is the driver's name.
	Driver string
	// Denied says of each need what it is, and which setting denies it.
	Denied []string
}

func (e *NeedsError) Error() string {
	return fmt.Sprintf("driver %s cannot do its work in its sandbox: %s", e.Driver, strings.Join(e.Denied, "; "))
}

// logDirMode is that of directories that are created for log files.
const logDirMode = 0o750

// grants is what the loggers of one driver need of its sandbox.
type grants struct {
	box *box // nil if the driver is not confined
	// opening counts, by directory, the loggers that are being opened.
	opening map[string]int
}

// boxOf returns the sandbox of a driver; nil for one that is attached to, or not
// confined.
func (h *Host) boxOf(driver string) *box {
	if _, attached := h.attachments[driver]; attached {
		return nil
	}
	return h.boxes.of(driver)
}

// verdict is what came of comparing a driver's needs with its sandbox.
type verdict struct{ err error }

// setting names a field for errors.
func (b *box) setting(field string) string { return fmt.Sprintf("Sandbox[%q].%s", b.key, field) }

// check returns a *NeedsError if the sandbox denies what the driver needs.
func (b *box) check(driver string, n *logdriver.Needs) error {
	var denied []string
	deny := func(need, field string) {
		denied = append(denied, fmt.Sprintf("it needs %s, which %s denies", need, b.setting(field)))
	}
	s := &b.base
	if s.ConfineTCP {
		if n.Network && len(s.ConnectPorts) == 0 {
			deny("to connect to the network", "ConfineTCP")
		}
		for _, p := range n.ConnectPorts {
			if !slices.Contains(s.ConnectPorts, uint16(p)) {
				deny(fmt.Sprintf("to connect to TCP port %d", p), "ConnectPorts")
			}
		}
		for _, p := range n.ListenPorts {
			if !slices.Contains(s.BindPorts, uint16(p)) {
				deny(fmt.Sprintf("to listen on TCP port %d", p), "ListenPorts")
			}
		}
	}
	if s.ConfineWrites {
		for _, p := range n.WritePaths {
			if !within(p, s.WritePaths) {
				deny("to write to "+p, "WritePaths")
			}
		}
	}
	if n.Root && s.User != nil && s.User.UID != 0 {
		deny("to run as root", "User")
	}
	if len(denied) > 0 {
		return &NeedsError{Driver: driver, Denied: denied}
	}
	return nil
}

// within tells whether path is one of places or lies below one.
func within(path string, places []string) bool {
	return slices.ContainsFunc(places, func(place string) bool {
		rel, err := filepath.Rel(place, path)
		return err == nil && filepath.IsLocal(rel)
	})
}

// logDir returns the directory in which a logger's driver writes; empty if the
// host does not know.
func (b *box) logDir(info *logdriver.Info) string {
	if b == nil || !b.base.ConfineWrites || !filepath.IsAbs(info.LogPath) {
		return ""
	}
	return filepath.Dir(filepath.Clean(info.LogPath))
}

// acquireFor is acquire for opening a logger: the process is one that may do what
// this takes. done is called when the logger is open or has failed to be.
func (d *driver) acquireFor(ctx context.Context, info *logdriver.Info) (s *session, done func(), err error) {
	if d.grants.box == nil {
		s, err = d.acquire(ctx)
		return s, func() {}, err
	}
	done = d.expect(d.grants.box.logDir(info))
	if s, err = d.acquireConfined(ctx, d.grants.box.logDir(info)); err != nil {
		done()
		return nil, nil, err
	}
	return s, done, nil
}

// expect has processes that are started before done is called write to dir.
func (d *driver) expect(dir string) (done func()) {
	if dir == "" {
		return func() {}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.grants.opening == nil {
		d.grants.opening = make(map[string]int)
	}
	d.grants.opening[dir]++
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.grants.opening[dir]--; d.grants.opening[dir] == 0 {
			delete(d.grants.opening, dir)
		}
	}
}

// widenPoll is how often a process that may write to more is looked for.
const widenPoll = 10 * time.Millisecond

// acquireConfined returns a session whose needs are granted and whose process may
// write to dir, replacing one that may not.
func (d *driver) acquireConfined(ctx context.Context, dir string) (*session, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, d.host.cfg.Timeouts.Start+d.host.cfg.Timeouts.Call,
		fmt.Errorf("no process that may write to %s came into being; allow that by %s", dir, d.grants.box.setting("WritePaths")))
	defer cancel()
	tick := time.NewTicker(widenPoll)
	defer tick.Stop()
	asked := false
	for {
		s, err := d.acquire(ctx)
		if err != nil {
			return nil, err
		}
		if err := d.checkNeeds(ctx, s); err != nil {
			return nil, err
		}
		if dir == "" || s.proc.CanWrite(dir) {
			return s, nil
		}
		if !asked {
			asked = true
			d.log.Info("driver is replaced by one that may write to another directory", "dir", dir, "setting", d.grants.box.setting("WritePaths"))
			d.replace()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for driver %s: %w", d.name, context.Cause(ctx))
		}
	}
}

// replace has the process replaced by a new one.
func (d *driver) replace() {
	select {
	case d.upgrades <- struct{}{}:
	default:
	}
}

// widen has the process of s replaced if it may not write to the directory of a
// logger that could not be opened there, because of err, and the directory can be
// had now. If it cannot, the error that it returns says why.
func (d *driver) widen(s *session, info *logdriver.Info, err error) error {
	dir := d.grants.box.logDir(info)
	if dir == "" || s.proc.CanWrite(dir) {
		return err
	}
	if missing := d.grants.box.makeLogDir(dir); missing != nil {
		return fmt.Errorf("%w; its directory %s cannot be created: %w", err, dir, missing)
	}
	d.replace()
	return err
}

func (d *driver) checkNeeds(ctx context.Context, s *session) error {
	if v := s.verdict.Load(); v != nil {
		return v.err
	}
	desc, err := s.describe(ctx)
	if err != nil {
		return err
	}
	err = d.grants.box.check(d.name, &desc.Needs)
	s.verdict.Store(&verdict{err})
	return err
}

// confine adds the sandbox to the configuration of a process.
func (d *driver) confine(cfg launch.Config) launch.Config {
	b := d.grants.box
	if b == nil {
		return cfg
	}
	cfg.Sandbox = b.base
	cfg.Env = append(cfg.Env, b.env...)
	cfg.Sandbox.WritePaths = slices.Clone(b.base.WritePaths)
	for _, dir := range d.logDirs() {
		if err := b.makeLogDir(dir); err != nil {
			// The loggers concerned fail to open; others need not.
			d.log.Warn("directory for a log file cannot be created", "dir", dir, "error", err)
			continue
		}
		cfg.Sandbox.WritePaths = append(cfg.Sandbox.WritePaths, dir)
	}
	return cfg
}

// logDirs returns the directories that the loggers write to.
func (d *driver) logDirs() []string {
	dirs := map[string]bool{}
	for _, l := range d.snapshot() {
		dirs[d.grants.box.logDir(&l.info)] = true
	}
	d.mu.Lock()
	for dir := range d.grants.opening {
		dirs[dir] = true
	}
	d.mu.Unlock()
	delete(dirs, "")
	var list []string
	for dir := range dirs {
		if !within(dir, d.grants.box.base.WritePaths) {
			list = append(list, dir)
		}
	}
	slices.Sort(list)
	return list
}

// makeLogDir creates a directory that the driver could not create itself, and
// gives it to the driver's user.
func (b *box) makeLogDir(dir string) error {
	fi, err := os.Stat(dir)
	switch {
	case err == nil && !fi.IsDir():
		return errors.New("it is not a directory")
	case err == nil || !errors.Is(err, os.ErrNotExist):
		return err
	}
	if err := os.MkdirAll(dir, logDirMode); err != nil {
		return err
	}
	if u := b.base.User; u != nil {
		return os.Chown(dir, int(u.UID), int(u.GID))
	}
	return nil
}
