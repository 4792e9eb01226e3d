package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/agext/levenshtein"
	"github.com/logplug/logplug/host/internal/launch"
	"github.com/logplug/logplug/shared/logdriver"
	"github.com/logplug/logplug/shared/wire"
)

// Host runs drivers and hands out loggers. Its methods may be called from any
// goroutine. Close it to leave nothing behind.
type Host struct {
	cfg         Config
	attachments map[string]wire.Attachment
	socketDir   string
	freeSockets func() error

	boxes     sandboxes
	pins      pins
	spool     *spooling
	letters   *letters
	room      room
	cacheRoom room // of caches, so that they take nothing from others
	readings  sync.WaitGroup

	watching     sync.WaitGroup
	stopWatching chan struct{}

	mu      sync.Mutex
	closed  bool
	drivers map[string]*driver
}

// New returns a host. No driver is started before it is used.
func New(cfg Config) (*Host, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	attachments, err := wire.ParseAttach(cfg.Attach)
	if err != nil {
		return nil, err
	}
	boxes, err := newSandboxes(cfg.Sandbox)
	if err != nil {
		return nil, err
	}
	dir, release, err := launch.NewSocketDir(cfg.SocketParent)
	if err != nil {
		return nil, err
	}
	h := &Host{
		cfg: cfg, attachments: attachments, boxes: boxes, pins: pins{cfg.Pins}, socketDir: dir, freeSockets: release,
		drivers:      make(map[string]*driver),
		stopWatching: make(chan struct{}),
		room:         room{maxBytes: int64(cfg.Spool.HostBytes), maxMessages: int64(cfg.Spool.HostMessages)},
		cacheRoom:    room{maxBytes: int64(cfg.Cache.SpoolBytes), maxMessages: int64(cfg.Spool.HostMessages)},
		letters:      &letters{path: cfg.DeadLetters, limit: cfg.DeadLetterBytes, log: cfg.Logger},
	}
	if cfg.Spool.Sync != SyncNone {
		h.letters.sync = (*os.File).Sync
	}
	if err := h.openSpool(); err != nil {
		return nil, errors.Join(err, release())
	}
	h.startWatching()
	return h, nil
}

// UnknownDriverError reports a driver that is not there, or that was refused.
type UnknownDriverError struct {
	// Name is what was asked for.
	Name string
	// Reason says why a file of that name was refused; empty if there is none.
	Reason string
	// Nearest is the usable driver whose name resembles Name most, or empty.
	Nearest string
	// Known lists the usable drivers.
	Known []string
	// Dirs are the directories that were searched.
	Dirs []string
}

func (e *UnknownDriverError) Error() string {
	if e.Reason != "" {
		return fmt.Sprintf("driver %q is refused: %s", e.Name, e.Reason)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "no driver %q", e.Name)
	if e.Nearest != "" {
		fmt.Fprintf(&b, "; did you mean %q?", e.Nearest)
	}
	switch {
	case len(e.Dirs) == 0:
		b.WriteString("; no plugin directory is configured")
	case len(e.Known) == 0:
		fmt.Fprintf(&b, "; there are none in %s", strings.Join(e.Dirs, ", "))
	default:
		fmt.Fprintf(&b, " (there are: %s)", strings.Join(e.Known, ", "))
	}
	return b.String()
}

// find returns the named driver, which is looked for in the directories when it
// is used for the first time.
func (h *Host) find(name string) (*driver, error) { return h.use(name, h.locate) }

// use returns the named driver, whose file locate finds when it is used for the
// first time. That may take its time: directories are read, and binaries summed.
func (h *Host) use(name string, locate func(name string) (path string, err error)) (*driver, error) {
	if d, err := h.inUse(name); d != nil || err != nil {
		return d, err
	}
	path := ""
	if _, attached := h.attachments[name]; !attached {
		var err error
		if path, err = locate(name); err != nil {
			return nil, err
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, errHostClosed
	}
	d := h.drivers[name]
	if d == nil { // else somebody else was faster
		d = newDriver(h, name, path)
		h.drivers[name] = d
	}
	return d, nil
}

// isClosed tells whether Close has begun.
func (h *Host) isClosed() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.closed
}

// inUse returns the named driver, or nil if it was not used so far.
func (h *Host) inUse(name string) (*driver, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, errHostClosed
	}
	return h.drivers[name], nil
}

func (h *Host) locate(name string) (path string, err error) {
	unknown := &UnknownDriverError{Name: name, Dirs: h.cfg.PluginDirs}
	for _, c := range h.scan() {
		switch {
		case c.Name == name && c.Skipped == "":
			return c.Path, nil
		case c.Name == name:
			unknown.Reason = c.Path + ": " + c.Skipped
		case c.Skipped == "":
			unknown.Known = append(unknown.Known, c.Name)
		}
	}
	unknown.Nearest = nearest(name, unknown.Known)
	return "", unknown
}

// nearest returns the candidate that a user who wrote name may have meant.
func nearest(name string, candidates []string) string {
	best, bestScore := "", 0.5
	for _, c := range candidates {
		if score := levenshtein.Similarity(name, c, nil); score > bestScore {
			best, bestScore = c, score
		}
	}
	return best
}

// request is what a user asks Open for.
type request struct {
	info     logdriver.Info
	overflow overflow
	cacheOf  string // of a cache, the driver whose logger it is a copy of
	goesOn   bool   // the stream may have begun in an earlier host
}

// Open opens a logger in the named driver, starting its process if it is the
// first. info.Config holds the driver's options, and those of the host:
//
//   - mode: "blocking" (the default) makes Log wait for room in the spool,
//     "non-blocking" makes it drop messages instead
//   - max-buffer-size: bounds the spool in non-blocking mode, default 1m
//   - drop: in non-blocking mode, what is dropped: "newest" (the default; Log
//     returns logdriver.ErrSpoolFull) or "oldest"
//   - cache-disabled, cache-max-size (default 20m), cache-max-file (5) and
//     cache-compress (true) are for the cache of a driver that cannot read,
//     see CacheConfig. All but the first are refused where there is none.
//
// With a spool directory, a logger of the same driver, ContainerID,
// ContainerName, LogPath and Config that an earlier host left goes on: what it
// had accepted is delivered first.
//
// A caller that can repeat what it logged before sets info.Stream, 32 random
// hexadecimal digits that no other logger has, and learns by Positioner where to
// go on.
func (h *Host) Open(ctx context.Context, name string, info logdriver.Info) (Logger, error) {
	d, err := h.find(name)
	if err != nil {
		return nil, err
	}
	r := request{info: info.Clone()}
	cache, err := h.takeOptions(name, &r)
	if err != nil {
		return nil, err
	}
	if err := h.checkCache(ctx, d, &cache); err != nil {
		return nil, err
	}
	l, err := h.resume(ctx, d, &r)
	if l == nil && err == nil {
		l, err = d.open(ctx, &r)
	}
	switch {
	case err != nil:
		return nil, withHostOptions(err)
	case l.capability.ReadLogs:
		return readingLogger{l}, nil
	case h.wantsCache(&cache):
		return h.openCached(ctx, l, &cache)
	}
	return l, nil
}

// takeOptions takes the host's options out of r.info.Config.
func (h *Host) takeOptions(driver string, r *request) (cache cacheOptions, err error) {
	if r.overflow, r.info.Config, err = takeOverflow(driver, r.info.Config, h.cfg.Spool.LoggerBytes); err != nil {
		return cache, err
	}
	cache, r.info.Config, err = takeCache(driver, r.info.Config)
	return cache, err
}

// ReadLogs reads the log that info describes, also when no logger is open for
// it: a stopped job's. info.Config is as for Open. Where the driver cannot read,
// that is its cache, see CacheConfig.
//
// Where this host has a logger for the log, what that accepted before the call is part
// of the past, as for logdriver.LogReader; so is what an earlier host left. ReadLogs
// waits for it for at most twice Timeouts.Call, and reads what is stored then. Follow
// fails if the logger is not open in the driver then.
func (h *Host) ReadLogs(ctx context.Context, name string, info logdriver.Info, cfg logdriver.ReadConfig) *logdriver.LogWatcher {
	r := request{info: info}
	cache, err := h.takeOptions(name, &r)
	if err != nil {
		return failedWatcher(err)
	}
	if w, ok := h.readCached(ctx, name, &r.info, &cache, cfg); ok {
		return w
	}
	d, err := h.find(name)
	if err != nil {
		return failedWatcher(err)
	}
	return d.readLogs(ctx, &r.info, cfg)
}

// Describe returns what the named driver says of itself.
func (h *Host) Describe(ctx context.Context, name string) (logdriver.Description, error) {
	d, err := h.find(name)
	if err != nil {
		return logdriver.Description{}, err
	}
	return d.describe(ctx)
}

// Stats returns a snapshot of all drivers that were used.
func (h *Host) Stats() Stats {
	st := Stats{
		SpoolLimitBytes: h.room.maxBytes, SpoolLimitMessages: h.room.maxMessages, CacheSpoolLimitBytes: h.cacheRoom.maxBytes,
		KeptMessages: h.spool.kept,
	}
	var ahead, cachesAhead claim
	for _, d := range h.used() {
		ds := d.stats()
		for i := range ds.Loggers {
			if l := &ds.Loggers[i]; l.CacheOf == "" {
				ahead.add(l.claim)
			} else {
				cachesAhead.add(l.claim)
			}
		}
		st.Drivers = append(st.Drivers, ds)
	}
	st.SpooledMessages, st.SpooledBytes = h.room.held(ahead)
	_, st.CacheSpooledBytes = h.cacheRoom.held(cachesAhead)
	return st
}

// used returns the drivers that were used, by name.
func (h *Host) used() []*driver {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.SortedFunc(maps.Values(h.drivers), func(a, b *driver) int { return compareStrings(a.name, b.name) })
}

func compareStrings(a, b string) int { return cmp.Compare(a, b) }

// Close shuts all loggers down, within ctx, ends readings, and stops all
// processes. It returns what loggers could not deliver. A Shutdown that is under way is
// waited for; if ctx ends before, it is cut off, and Close tells. What it does after
// ctx has ended is bounded by Timeouts.Stop.
func (h *Host) Close(ctx context.Context) error {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return nil
	}
	h.closed = true
	h.mu.Unlock()

	close(h.stopWatching)
	h.watching.Wait()
	drivers := h.used()
	errs := h.shutdownLoggers(ctx, drivers)
	for _, d := range drivers {
		d.cancel(errHostClosed)
	}
	for _, d := range drivers {
		<-d.done
	}
	errs = append(errs, h.shutdownRest(drivers)...)
	h.readings.Wait()
	return errors.Join(append(errs, h.spool.close(), h.freeSockets())...)
}

func (h *Host) launchConfig(name, path string) launch.Config {
	return launch.Config{
		Name: name, Path: path, Env: h.cfg.driverEnv(), SocketDir: h.socketDir,
		Logger: h.cfg.Logger.Named(name), StartTimeout: h.cfg.Timeouts.Start,
		Verify: h.pins.verifier(name),
	}
}
