package host

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/logplug/logplug/shared/logdriver"
)

// CacheConfig says where a copy is kept of what is logged to drivers that cannot
// read, so that every log can be read back. Each logger of such a driver has a
// second logger then, its cache, unless its option cache-disabled is true.
//
// The cache never makes Log fail, and never keeps what was logged from its sink.
// While it takes nothing, its messages wait in a spool of their own, which drops the
// oldest ones when it is full: counted, and marked in the cache. Before that, it
// holds up Log for half a second at most, once, and Close for two. A cache that is
// slower than its logger, but takes messages, sets the pace, unless the logger has
// mode=non-blocking. What that mode drops is in the cache all the same.
//
// With a spool directory, a killed host leaves to the next one what both lack. Log
// puts a message into the logger's spool and then into the cache's: if the host is
// killed between the two, the cache lacks that message, and nothing tells of it. Room
// in the cache is waited for before, so that this is a matter of microseconds, but
// for lines in parts, and where others who log at the same time take the room.
//
// Where the cache cannot be opened, Open and Log work: the reason is in
// LoggerStats.Cache, and opening it is tried again, so that a driver that is not
// installed yet is found later. Only mistakes that time does not mend make Open
// fail: wrong options, no place for the copy, a driver that cannot read.
type CacheConfig struct {
	// Driver is the name of the driver that keeps the copies; empty: there are
	// none. It must read, and have the options max-size, max-file and compress.
	Driver string
	// Dir is the directory of the copies. The default is beside Info.LogPath,
	// whose name gets the ending ".cache".
	Dir string
	// SpoolBytes bounds, in encoded bytes, what waits for all caches together, in
	// addition to SpoolConfig.HostBytes: default 64 MiB, at least MinSpoolBytes.
	// Each of them has SpoolConfig.LoggerBytes.
	SpoolBytes int
}

const (
	// defaultCacheSpool is CacheConfig.SpoolBytes where it is not given.
	defaultCacheSpool = 64 << 20
	// cacheOpenTime is for how long Open waits for the cache. It opens in the
	// background then.
	cacheOpenTime = 3 * time.Second
	// cacheSuffix makes the cache's file of Info.LogPath.
	cacheSuffix = ".cache"
	// cacheFile is the name of a cache's file in its directory.
	cacheFile = "cache.log"
	// maxCacheName is how much of a logger's name its directory's name shows.
	maxCacheName = 64
)

// wantsCache tells whether loggers of a driver that cannot read have a cache.
func (h *Host) wantsCache(o *cacheOptions) bool { return h.cfg.Cache.Driver != "" && !o.disabled }

// findLater is find for a driver that may not be installed yet: it is looked for
// again whenever its process is to be started.
func (h *Host) findLater(name string) (*driver, error) {
	return h.use(name, func(name string) (string, error) {
		path, err := h.locate(name)
		if unknown := (*UnknownDriverError)(nil); errors.As(err, &unknown) {
			return "", nil
		}
		return path, err
	})
}

// locate finds the file of a driver that was not there when it was asked for.
func (d *driver) locate() error {
	if d.attached() || d.path != "" {
		return nil
	}
	path, err := d.host.locate(d.name)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.path = path
	return err
}

// missing tells whether the driver was not there when it was looked for last.
func (d *driver) missing() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	var unknown *UnknownDriverError
	return d.session == nil && errors.As(d.lastErr, &unknown)
}

// checkCache refuses options of the cache for a driver that reads, before a logger
// is opened there.
func (h *Host) checkCache(ctx context.Context, d *driver, o *cacheOptions) error {
	if o.sized == "" {
		return nil
	}
	canRead := false
	if h.cfg.Cache.Driver != "" {
		desc, err := d.describe(ctx)
		if err != nil {
			return err
		}
		canRead = desc.Capability.ReadLogs
	}
	return o.checkUse(d.name, canRead, h.cfg.Cache.Driver != "")
}

// describe asks a running process, starting one if need be.
func (d *driver) describe(ctx context.Context) (logdriver.Description, error) {
	s, err := d.acquire(ctx)
	if err != nil {
		return logdriver.Description{}, err
	}
	return s.describe(ctx)
}

// cacheInfo describes the cache of a logger of the named driver.
func (h *Host) cacheInfo(driver string, info *logdriver.Info, o *cacheOptions) (logdriver.Info, error) {
	path := info.LogPath + cacheSuffix
	switch {
	case h.cfg.Cache.Dir != "":
		path = filepath.Join(h.cfg.Cache.Dir, cacheName(driver, info), cacheFile)
	case info.LogPath == "":
		return logdriver.Info{}, fmt.Errorf("logger %s has no place for its cache: set Config.Cache.Dir, Info.LogPath, or the option %s=true",
			labelOf(info), optCacheDisabled)
	}
	return logdriver.Info{
		Config: o.config(), ContainerID: info.ContainerID, ContainerName: info.ContainerName, LogPath: path, DaemonName: info.DaemonName,
	}, nil
}

// cacheName is a name for a directory that no other source of logs has, and that
// stays the same when options change.
func cacheName(driver string, info *logdriver.Info) string {
	id := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %q", driver, info.ContainerID, info.ContainerName, info.LogPath))
	readable := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_':
			return r
		}
		return '_'
	}, filepath.Base(labelOf(info)))
	return fmt.Sprintf("%s-%s-%x", readable[:min(len(readable), maxCacheName)], driver, id[:8])
}

// openCached gives l a cache. If that is not possible at all, l is closed.
func (h *Host) openCached(ctx context.Context, l *logger, o *cacheOptions) (Logger, error) {
	cache, err := h.openCache(ctx, l, o)
	if err != nil {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), h.cfg.Timeouts.Close)
		defer cancel()
		return nil, errors.Join(err, l.Shutdown(closing))
	}
	return newCachedLogger(l, cache), nil
}

// openCache opens the cache of l. It fails only where its options are wrong; what
// else is the matter may be mended meanwhile.
func (h *Host) openCache(ctx context.Context, l *logger, o *cacheOptions) (*logger, error) {
	info, err := h.cacheInfo(l.driver.name, &l.info, o)
	if err != nil {
		return nil, err
	}
	d, err := h.findLater(h.cfg.Cache.Driver)
	if err != nil {
		return nil, err
	}
	r := request{info: info, cacheOf: l.driver.name, overflow: overflow{drop: dropOldest, bytes: h.cfg.Spool.LoggerBytes}}
	if l.overflow.drop == "" {
		r.overflow.patience = cachePatience
	}
	if cache := h.spool.takeOrphan(identity(d.name, &r.info)); cache != nil {
		cache.mu.Lock()
		defer cache.mu.Unlock()
		cache.overflow.patience = r.overflow.patience
		cache.leaveHeld()
		return cache, nil
	}
	stream, err := h.spool.begin(d.name, &r)
	if err != nil {
		d.log.Warn("the next host will not know whose messages the cache has left, if it leaves any", "logger", l.label(), "error", err)
	}
	cache := newLogger(d, &r, stream, h.spool.newQueue(stream))
	if err := h.tryCache(ctx, cache); err != nil {
		h.spool.forget(stream)
		return nil, fmt.Errorf("opening the cache of logger %s: %w", l.label(), err)
	}
	return cache, nil
}

// tryCache opens the cache, or leaves that to the background. An error means that
// its options are wrong.
func (h *Host) tryCache(ctx context.Context, cache *logger) error {
	d := cache.driver
	ctx, cancel := context.WithTimeout(ctx, cacheOpenTime)
	defer cancel()
	err := d.openLogger(ctx, cache)
	var option *logdriver.OptionError
	switch {
	case err == nil && !cache.capability.ReadLogs:
		return errors.Join(&blindCacheError{d.name}, cache.Shutdown(ctx))
	case err == nil:
		return nil
	case errors.As(err, &option):
		return err
	}
	if d.missing() {
		d.log.Warn("no copy is kept for reading until the driver is installed", "logger", cache.label(), "error", err)
	} else {
		d.log.Warn("the cache cannot be opened at present", "logger", cache.label(), "error", err)
	}
	cache.setBlocked("opening: " + err.Error())
	d.openSoon(cache)
	return nil
}

// blindCacheError reports that a driver that is to keep caches cannot read them.
type blindCacheError struct{ driver string }

func (e *blindCacheError) Error() string {
	return fmt.Sprintf("driver %s cannot read, and so cannot keep caches", e.driver)
}

// readCached reads the cache of the log that info describes, if it is in one.
// There it is also if the driver cannot be asked and the cache's file is there.
func (h *Host) readCached(ctx context.Context, name string, info *logdriver.Info, o *cacheOptions, cfg logdriver.ReadConfig) (w *logdriver.LogWatcher, ok bool) {
	if !h.wantsCache(o) || name == h.cfg.Cache.Driver {
		return nil, false
	}
	cached, err := h.cacheInfo(name, info, o)
	if err != nil {
		return nil, false // there is no place where it could be
	}
	desc, err := h.Describe(ctx, name)
	if err != nil {
		if _, missing := os.Stat(cached.LogPath); missing != nil {
			return failedWatcher(err), true
		}
	} else if desc.Capability.ReadLogs {
		return nil, false
	}
	d, err := h.find(h.cfg.Cache.Driver)
	if err != nil {
		return failedWatcher(fmt.Errorf("reading the cache of %s: %w", labelOf(info), err)), true
	}
	return d.readLogs(ctx, &cached, cfg), true
}
