package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/logplug/logplug/host/internal/discover"
)

// binary tells versions of a driver's file apart.
type binary struct {
	info    os.FileInfo // nil if there is none
	size    int64
	modTime time.Time
}

func statBinary(path string) binary {
	info, err := os.Stat(path)
	if err != nil {
		return binary{}
	}
	return binary{info, info.Size(), info.ModTime()}
}

// sameMode tells whether those who can change the file are the same, too.
func (b binary) sameMode(other binary) bool {
	return b.same(other) && (b.info == nil || b.info.Mode() == other.info.Mode())
}

func (b binary) same(other binary) bool {
	if b.info == nil || other.info == nil {
		return b.info == nil && other.info == nil
	}
	return os.SameFile(b.info, other.info) && b.size == other.size && b.modTime.Equal(other.modTime)
}

// Reload looks whether the binaries of drivers that run have changed, and
// replaces the processes of those that have: a new process is started and
// described, the loggers move to it with nothing lost and in order, and the old
// one is stopped. What follows their logs ends with an error that says to read
// again. A binary that cannot be started, or cannot open the first
// logger, or that would not be used in discovery, is refused, and the old process
// goes on. A driver in quarantine is tried again if its binary has changed. Reload
// returns before that is done; DriverStats tell.
//
// Unless Config.NoWatch is set, the host calls it when a plugin directory
// changes.
func (h *Host) Reload() {
	for _, d := range h.used() {
		d.reload()
	}
}

// reload starts an upgrade, or ends a quarantine, if the file is another one than
// that of the process that runs or was started last, and than the one refused last.
func (d *driver) reload() {
	d.mu.Lock()
	path := d.path
	d.mu.Unlock()
	now := statBinary(path)
	d.mu.Lock()
	inUse := d.session != nil || d.state == StateQuarantined
	changed := inUse && now.info != nil && !now.same(d.binary) && !now.sameMode(d.refused)
	d.mu.Unlock()
	if !changed {
		return
	}
	select {
	case d.upgrades <- struct{}{}:
	default:
	}
}

// trusted makes sure that the binary is still one that discovery would use.
func (d *driver) trusted() error {
	if d.attached() {
		return nil
	}
	if err := discover.Check(d.path); err != nil {
		return fmt.Errorf("driver %s is refused: %s: %w", d.name, d.path, err)
	}
	return nil
}

func (d *driver) setBinary(b binary) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.binary = b
}

// upgrade replaces the session old by one with a process of the binary that is
// there now. It returns the session to go on with.
func (d *driver) upgrade(old *session) *session {
	now := statBinary(d.path)
	next, err := d.startUpgrade()
	if err != nil {
		d.refuse(now, err)
		return old
	}
	d.log.Info("driver is being upgraded", "old_pid", old.proc.Pid(), "new_pid", next.proc.Pid())
	if err := d.moveAll(old, next); err != nil {
		next.fail(err)
		next.proc.Kill()
		next.wait()
		d.refuse(now, err)
		return old
	}
	d.setBinary(now)
	old.endReaders(errUpgraded)
	old.stop(errUpgraded)
	d.log.Info("driver was upgraded", "pid", next.proc.Pid())
	return next
}

var errUpgraded = errors.New("the driver was upgraded")

// startUpgrade starts a process and looks whether it is the driver that it should be.
func (d *driver) startUpgrade() (*session, error) {
	if err := d.trusted(); err != nil {
		return nil, err
	}
	proc, err := d.launch()
	if err != nil {
		return nil, err
	}
	next, err := newSession(d, proc)
	if err != nil {
		proc.Kill()
		return nil, err
	}
	desc, err := next.describe(d.ctx)
	if err == nil && desc.Name != d.name {
		err = fmt.Errorf("it says that it is driver %q", desc.Name)
	}
	if err != nil {
		next.fail(err)
		proc.Kill()
		next.wait()
		return nil, err
	}
	return next, nil
}

func (d *driver) refuse(b binary, err error) {
	err = fmt.Errorf("the new binary of driver %s is refused, the old one goes on: %w", d.name, err)
	d.log.Error("upgrade", "error", err)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.refused, d.lastErr = b, err
}

// moveAll moves the loggers from old to next: first one that is open in old, whose
// failure to open calls the upgrade off, then the others.
func (d *driver) moveAll(old, next *session) error {
	loggers := d.snapshot()
	// One that old cannot open either tells nothing of next.
	if i := slices.IndexFunc(loggers, func(l *logger) bool { return l.attachedTo(old) }); i >= 0 {
		if err := d.move(loggers[i], old, next); err != nil {
			old.wg.Go(func() { d.reopenLogger(old, loggers[i], nil) })
			return err
		}
	}
	var wg sync.WaitGroup
	slots := make(chan struct{}, reopenAtOnce)
	for _, l := range d.succeed(old, next) {
		if l.attachedTo(next) {
			continue
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if err := d.move(l, old, next); err != nil {
				d.log.Error("logger could not be moved to the new process", "logger", l.label(), "error", err)
				l.setBlocked("moving to the new process: " + err.Error())
				next.wg.Go(func() { d.reopenLogger(next, l, nil) })
			}
		})
	}
	wg.Wait()
	return nil
}

// succeed puts next in the place of old. It returns the loggers to move, which are
// not opened in old any more: those that come later are opened in next.
func (d *driver) succeed(old, next *session) []*logger {
	d.mu.Lock()
	defer d.mu.Unlock()
	old.retired.Store(true)
	d.session, d.pid = next, next.proc.Pid()
	d.starts++
	return d.openableLocked()
}

// move closes l in old, once what was sent is settled or its time is up, and
// opens it in next, which gets the rest.
func (d *driver) move(l *logger, old, next *session) error {
	ctx, cancel := context.WithTimeout(d.ctx, d.host.cfg.Timeouts.Call)
	defer cancel()
	if id, ok := l.pause(ctx, old); ok {
		if err := old.closeLogger(ctx, l, id); err != nil {
			d.log.Warn("closing a logger in the old process", "logger", l.label(), "error", err)
		}
	}
	if !d.has(l) {
		return nil
	}
	return next.openAgain(d.ctx, l)
}

// pause stops sending to s and waits until what was sent is settled. It returns
// the logger's number in s, or false if it is not open there.
func (l *logger) pause(ctx context.Context, s *session) (id uint64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.session != s {
		return 0, false
	}
	l.paused = true
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	// What is not settled in time goes to the next process.
	_ = l.awaitAcked(ctx, func() bool { return l.session != s || l.inflight == 0 })
	if l.session != s {
		return 0, false
	}
	l.session, l.opening = nil, nil
	return l.id, true
}

func (l *logger) attachedTo(s *session) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.session == s
}

// settleTime is how long a plugin directory must be quiet before it is looked at:
// a binary may arrive in several steps.
const settleTime = 300 * time.Millisecond

// watchPlugins calls Reload when a plugin directory has changed, until stop is
// closed.
func (h *Host) watchPlugins(w *fsnotify.Watcher, stop <-chan struct{}) {
	defer w.Close()
	timer := time.NewTimer(settleTime)
	timer.Stop()
	defer timer.Stop()
	for {
		select {
		case _, ok := <-w.Events:
			if !ok {
				return
			}
			timer.Reset(settleTime)
		case err, ok := <-w.Errors:
			if !ok {
				return
			}
			h.cfg.Logger.Warn("watching the plugin directories", "error", err)
		case <-timer.C:
			h.Reload()
		case <-stop:
			return
		}
	}
}

// startWatching watches the plugin directories, if it can.
func (h *Host) startWatching() {
	if h.cfg.NoWatch || len(h.cfg.PluginDirs) == 0 {
		return
	}
	w, err := fsnotify.NewWatcher()
	if err != nil {
		h.cfg.Logger.Warn("plugin directories are not watched for new binaries", "error", err)
		return
	}
	for _, dir := range h.cfg.PluginDirs {
		if err := w.Add(dir); err != nil {
			h.cfg.Logger.Debug("plugin directory is not watched for new binaries", "dir", dir, "error", err)
		}
	}
	h.watching.Go(func() { h.watchPlugins(w, h.stopWatching) })
}
