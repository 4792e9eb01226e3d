package docker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/host/internal/filelock"
	"github.com/logplug/logplug/shared/logdriver"
)

const (
	streamsDir = "streams"
	logsDir    = "logs"
	lockName   = "lock"
	// SpoolName is the directory below Config.StateDir for the host's spool.
	SpoolName = "spool"

	// stopPatience is for how long stopping waits for the driver to have it all.
	stopPatience = time.Second
	// tidyInterval is how often is looked for what nobody needs any more.
	tidyInterval = 5 * time.Second
	// secondLook is how long after that is looked again for what is missing.
	secondLook = time.Second
)

// Config configures a Service.
type Config struct {
	// StateDir is where logs are, and what is not yet delivered. It must be on a
	// local file system. One service at a time can use it.
	StateDir string
	// SocketDir is where the daemon looks for plugins.
	SocketDir string
	// Name is the name of the plugin that takes the driver as an option; plugins for one
	// driver are named Name-DRIVER.
	Name string
	// DockerRoot is the daemon's data directory. Logs of containers that are gone
	// from there are removed; those of containers that never were there stay. Empty: all stay.
	DockerRoot string
	// Drivers lists the drivers that there are.
	Drivers func() []string
	// Logger gets the service's log lines.
	Logger hclog.Logger
}

// Service is the plugins. Use Lock, then New.
type Service struct {
	cfg       Config
	host      *host.Host
	log       hclog.Logger
	processes *processes
	buffers   sync.Pool
	describer describer

	ctx    context.Context // of all that goes on
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu         sync.Mutex
	containers map[string]*container
	streams    map[string]*stream  // by FIFO
	untaken    map[string]*untaken // by directory
	newest     time.Time           // when the stream began that did so last
	damage     Damage
	lost       int64
}

// Damage counts what was skipped of what daemons wrote.
type Damage struct {
	Frames uint64 `json:"frames"` // places at which decoding failed
	Bytes  uint64 `json:"bytes"`
}

// Lock keeps other services out of the state directory, which it makes, until the
// file is closed or the process ends.
func Lock(stateDir string) (*os.File, error) {
	if err := os.MkdirAll(stateDir, 0o700); err != nil {
		return nil, err
	}
	f, err := filelock.Acquire(filepath.Join(stateDir, lockName))
	if errors.Is(err, filelock.ErrHeld) {
		err = fmt.Errorf("another service uses the state directory %s; stop it, or name another directory", stateDir)
	}
	return f, err
}

// New returns a service on h, whose spool must be in Config.StateDir. It takes up what
// an earlier one left.
func New(h *host.Host, cfg Config) *Service {
	s := newService(h, cfg)
	s.resume()
	s.wg.Go(s.tidy)
	return s
}

func newService(h *host.Host, cfg Config) *Service {
	s := &Service{
		cfg: cfg, host: h, log: cfg.Logger, processes: newProcesses("/proc"),
		buffers:    sync.Pool{New: func() any { b := make([]byte, readBytes); return &b }},
		describer:  describer{host: h, known: make(map[string]described)},
		containers: make(map[string]*container), streams: make(map[string]*stream),
		untaken: make(map[string]*untaken),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Quit ends all that goes on, as far as that does not depend on the host: close that
// next, then call Wait.
func (s *Service) Quit() { s.cancel() }

// Wait returns when everything has ended.
func (s *Service) Wait() { s.wg.Wait() }

// resume takes up streams of an earlier service.
func (s *Service) resume() {
	all, others, err := findRecords(filepath.Join(s.cfg.StateDir, streamsDir))
	if err != nil {
		s.log.Error("output that an earlier service left cannot be found", "error", err)
	}
	for _, dir := range others {
		s.untaken[dir] = &untaken{}
	}
	for _, f := range all {
		s.newest = f.Began // they are in order
		st, err := s.reopen(f)
		if err != nil {
			s.untaken[f.dir] = &untaken{}
			s.untaken[f.dir].failed(s, f.record, err)
			continue
		}
		s.takeUp(st)
	}
	// Only now that each has all its streams: it takes no more once the last is logged.
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.containers {
		s.wg.Go(func() { c.run(s.ctx, false) })
	}
}

// reopen opens a stream of an earlier service.
func (s *Service) reopen(f found) (*stream, error) {
	st, err := openStream(f.dir, f.record, s.processes, s.log)
	if err != nil {
		return nil, err
	}
	st.resume()
	s.log.Info("taking up the output of a container again", "container", f.Info.ID(), "driver", f.Driver)
	return st, nil
}

// takeUp gives a stream of an earlier service to its container, which does not run yet.
func (s *Service) takeUp(st *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.containers[st.key()]; c == nil {
		s.containers[st.key()] = newContainer(s, st)
	} else {
		c.add(st)
	}
	s.streams[st.File] = st
	st.begin(s.ctx)
}

// enlist gives a new stream to its container. It returns nil if that is ending; the
// caller waits then. It is called with s.mu.
func (s *Service) enlist(st *stream) (c *container, ending *container) {
	s.processes.forget(st.key()) // those of an earlier run
	return s.join(st, true)
}

// join is enlist for any stream. newcomer is as for container.run.
func (s *Service) join(st *stream, newcomer bool) (c *container, ending *container) {
	c = s.containers[st.key()]
	if c != nil && !c.add(st) {
		return nil, c
	}
	begun := c != nil
	if !begun {
		c = newContainer(s, st)
		s.containers[c.key] = c
	}
	s.streams[st.File] = st
	st.begin(s.ctx)
	if !begun {
		s.wg.Go(func() { c.run(s.ctx, newcomer) })
	}
	return c, nil
}

// forget removes a container that has ended.
func (s *Service) forget(c *container) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.containers[c.key] == c {
		delete(s.containers, c.key)
	}
	s.processes.forget(c.key)
}

// dropped removes a stream that was delivered.
func (s *Service) dropped(st *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.streams, st.File)
}

// wasted counts bytes of output that could not be stored.
func (s *Service) wasted(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost += n
}

// corrupt reports that bytes of a stream were skipped.
func (s *Service) corrupt(c *container, err error, bytes int) {
	s.mu.Lock()
	s.damage.Frames++
	s.damage.Bytes += uint64(bytes)
	s.mu.Unlock()
	c.log.Error("output of the container was damaged on its way here", "skipped bytes", bytes, "error", err)
}

// Start begins to read a FIFO. It returns an error if the user has to change an option,
// or the state cannot be kept.
func (s *Service) Start(ctx context.Context, file, driver string, info logdriver.Info) error {
	driver, info, err := s.resolve(ctx, driver, info)
	if err != nil {
		return err
	}
	s.mu.Lock()
	known := s.streams[file] != nil || s.untaken[s.stateOf(file)] != nil
	c, began := s.containers[info.ContainerID], s.beginning()
	s.mu.Unlock()
	if known {
		return nil // the daemon did not get the answer and asks again
	}
	info.Stream = newStream()
	if c != nil {
		info.Stream = c.streamID
	}
	st, err := s.newStream(record{File: file, Driver: driver, Info: info, Began: began})
	if err != nil {
		return fmt.Errorf("keep the output of %s: %w", info.ID(), err)
	}
	return s.await(ctx, st)
}

// beginning returns when a new stream begins: after all others, which are put in order by
// that, also when the clock was set back. It is called with s.mu.
func (s *Service) beginning() time.Time {
	now := time.Now().Round(0) // others have no monotonic clock
	if !now.After(s.newest) {
		now = s.newest.Add(1)
	}
	s.newest = now
	return now
}

// await gives a new stream to its container, and waits until its logger is open.
func (s *Service) await(ctx context.Context, st *stream) error {
	for {
		s.mu.Lock()
		if s.ctx.Err() != nil {
			s.mu.Unlock()
			return errors.Join(errors.New("the service is being stopped"), st.remove(), st.close())
		}
		c, ending := s.enlist(st)
		s.mu.Unlock()
		if c == nil {
			select {
			case <-ending.done:
				continue
			case <-ctx.Done():
				return errors.Join(context.Cause(ctx), st.remove(), st.close())
			}
		}
		select {
		case <-c.opened:
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.openErr
		case <-ctx.Done(): // the daemon is gone; what its FIFO holds is read
			return context.Cause(ctx)
		}
	}
}

func (s *Service) newStream(r record) (*stream, error) {
	dir, err := r.create(filepath.Join(s.cfg.StateDir, streamsDir))
	if err != nil {
		return nil, err
	}
	st, err := openStream(dir, r, s.processes, s.log)
	if err == nil && st.intake.fifo == nil {
		err = errors.Join(fmt.Errorf("there is no FIFO %s", r.File), st.close())
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return st, nil
}

// resolve completes what the daemon says.
func (s *Service) resolve(ctx context.Context, driver string, info logdriver.Info) (string, logdriver.Info, error) {
	info = info.Clone()
	if info.Config == nil {
		info.Config = make(map[string]string)
	}
	if driver == "" {
		var ok bool
		if driver, ok = info.Config[driverOption]; !ok || driver == "" {
			return "", info, fmt.Errorf("name a log driver with --log-opt %s=NAME (there are: %v)", driverOption, s.drivers())
		}
		delete(info.Config, driverOption)
	}
	if info.ContainerID == "" || info.ContainerID != filepath.Base(info.ContainerID) || info.ContainerID[0] == '.' {
		return "", info, fmt.Errorf("%q is not a container's ID", info.ContainerID)
	}
	info.LogPath = filepath.Join(s.cfg.StateDir, logsDir, info.ContainerID, "container.log")
	s.fit(ctx, driver, info.Config)
	if err := s.remember(info.ContainerID); err != nil {
		return "", info, err
	}
	return driver, info, nil
}

// fit removes options from config that are for drivers that cannot read if this one can: daemons
// add them to all containers where they are among their defaults. It returns whether that
// could be told.
func (s *Service) fit(ctx context.Context, driver string, config map[string]string) bool {
	d, err := s.describer.describe(ctx, driver)
	if err != nil {
		return false
	}
	if d.Capability.ReadLogs {
		for _, o := range host.CacheOptions() {
			delete(config, o.Name)
		}
	}
	return true
}

func (s *Service) drivers() []string {
	names := s.cfg.Drivers()
	slices.Sort(names)
	return names
}

// driverOption names the driver where the plugin is for all.
const driverOption = "driver"

// Stop says that the daemon has written the last into a FIFO. It returns once the
// FIFO is empty, and waits a little for the driver.
func (s *Service) Stop(ctx context.Context, file string) error {
	s.mu.Lock()
	st := s.streams[file]
	var c *container
	if st != nil {
		c = s.containers[st.key()]
	}
	u := s.untaken[s.stateOf(file)]
	if u != nil {
		u.stopped = true
	}
	s.mu.Unlock()
	if u != nil {
		return fmt.Errorf("what is in %s cannot be taken up at present; it is tried again", file)
	}
	if st == nil {
		s.log.Debug("the daemon stops what was not begun, or has ended", "fifo", file)
		return nil
	}
	st.intake.stop()
	select {
	case <-st.intake.done:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if !st.full() {
		// The daemon keeps a FIFO of which it was not told that it is empty.
		return fmt.Errorf("the output of %s is not stored yet; the next service will read it", st.Info.ID())
	}
	if c == nil {
		return nil // it ended just now, with this service; the next one delivers what it has
	}
	timer := time.NewTimer(stopPatience)
	defer timer.Stop()
	select {
	case <-c.done:
	case <-timer.C:
	case <-ctx.Done():
	}
	return nil
}

// Stats is what GET /stats answers.
type Stats struct {
	Host   host.Stats `json:"host"`
	Damage Damage     `json:"damage"`
	// LostBytes are what containers that have ended had written last, and could not be stored.
	LostBytes int64         `json:"lostBytes"`
	Streams   []StreamStats `json:"streams"`
}

// StreamStats is about the output of one run of a container.
type StreamStats struct {
	Container string `json:"container"`
	Driver    string `json:"driver"`
	// JournalBytes are taken from the daemon, and not yet with the host.
	JournalBytes int64 `json:"journalBytes"`
	// Complete tells that nothing more will come.
	Complete bool `json:"complete"`
}

// Stats returns a snapshot.
func (s *Service) Stats() Stats {
	st := Stats{Host: s.host.Stats(), Streams: []StreamStats{}}
	s.mu.Lock()
	defer s.mu.Unlock()
	st.Damage, st.LostBytes = s.damage, s.lost
	for _, x := range s.streams {
		_, unread := x.journal.bytes()
		st.Streams = append(st.Streams, StreamStats{x.Info.ContainerID, x.Driver, unread, x.full()})
	}
	slices.SortFunc(st.Streams, func(a, b StreamStats) int {
		if a.Container < b.Container {
			return -1
		}
		return 1
	})
	return st
}
