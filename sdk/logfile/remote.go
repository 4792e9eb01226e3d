package logfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
)

// pollInterval is how often a reader looks for what it was not told: that the
// writer died, and everything where the system gives no notifications.
const pollInterval = time.Second

// remote tracks a writer of another process, if there is one.
type remote struct {
	names
	files   int
	framing Framing

	once    sync.Once
	watcher *fsnotify.Watcher // nil if there is none to be had
	watched *generation
	wake    chan struct{}
	stop    chan struct{}
	stopped chan struct{}
}

func newRemote(cfg *Config) *remote {
	return &remote{
		names: cfg.names(), files: cfg.MaxFiles, framing: cfg.Format,
		wake: make(chan struct{}, 1), stop: make(chan struct{}), stopped: make(chan struct{}),
	}
}

func (t *remote) snapshot() ([]*generation, error) {
	gens, err := t.all()
	if err != nil {
		return nil, err
	}
	if n := len(gens); n > 0 && !gens[n-1].packed {
		if err := t.settle(gens[n-1]); err != nil {
			closeAll(gens)
			return nil, err
		}
	}
	for _, g := range gens {
		g.usableIndex()
	}
	return gens, nil
}

// openTries is how often the slots are looked through for the number of the
// newest file. It may be missing for a moment during a rotation.
const openTries = 3

func (t *remote) all() ([]*generation, error) {
	for try := 1; ; try++ {
		gens, err := t.openAll(t.files)
		if err != nil {
			return nil, err
		}
		known := !slices.ContainsFunc(gens, func(g *generation) bool { return g.gen == 0 })
		if known || try == openTries {
			return gens, nil
		}
		if alive, err := beingWritten(t.path); err != nil || !alive {
			return gens, nil // reading goes on without what err kept from us
		}
		closeAll(gens)
	}
}

// settle lets the past end between two records, where a writer may be in the
// middle of one.
func (t *remote) settle(g *generation) error {
	alive, err := beingWritten(t.path)
	if err != nil {
		return err
	}
	if !alive { // it may have been in the middle of one when g was opened
		g.size, err = g.sizeNow()
		return err
	}
	fr, err := newBackward(t.framing, g.f, g.size).prev()
	switch {
	case err == nil && t.framing.Next(fr.data) != len(fr.data):
		g.size = fr.off
	case errors.Is(err, io.EOF):
		return nil
	case errors.Is(err, io.ErrUnexpectedEOF): // the writer took back the end
		return t.settleShorter(g)
	}
	return err
}

// settleShorter settles a file that has become shorter meanwhile.
func (t *remote) settleShorter(g *generation) (err error) {
	if g.size, err = g.sizeNow(); err != nil {
		return err
	}
	return t.settle(g)
}

func (t *remote) alive() (bool, error) { return beingWritten(t.path) }

func (t *remote) limit(*generation) func() int64 { return noLimit }

// state looks for the writer before it looks for a newer file: one that
// rotates and closes in between is then found to have rotated.
func (t *remote) state(g *generation) (state, <-chan struct{}, error) {
	t.once.Do(t.start)
	if g.packed { // its inode may have become that of the current file
		return rotated, t.wake, nil
	}
	t.watch(g)
	alive, err := beingWritten(t.path)
	if err != nil {
		return ended, t.wake, err
	}
	fi, err := os.Stat(t.path)
	switch {
	case err == nil && identify(fi) != g.id, errors.Is(err, fs.ErrNotExist):
		return rotated, t.wake, nil
	case err != nil:
		return ended, t.wake, fmt.Errorf("follow log: %w", err)
	case !alive:
		return ended, t.wake, nil
	}
	return growing, t.wake, nil
}

// start begins to collect notifications.
func (t *remote) start() {
	w, err := fsnotify.NewWatcher()
	if err == nil {
		t.watcher = w
		_ = w.Add(lockName(t.path)) // polling does it too
	}
	go t.collect()
}

func (t *remote) watch(g *generation) {
	if t.watcher == nil || t.watched == g {
		return
	}
	_ = t.watcher.Remove(t.path)
	_ = t.watcher.Add(t.path)
	t.watched = g
}

func (t *remote) collect() {
	defer close(t.stopped)
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	var events chan fsnotify.Event
	var failures chan error
	if t.watcher != nil {
		events, failures = t.watcher.Events, t.watcher.Errors
	}
	for {
		select {
		case <-events:
		case <-failures:
		case <-poll.C:
		case <-t.stop:
			return
		}
		select {
		case t.wake <- struct{}{}:
		default:
		}
	}
}

// next finds the file after g. It knows g by its identity, which no other file
// can have while g is open, or in a compressed file by the identity that
// is kept there.
func (t *remote) next(g *generation) (*generation, error) {
	if t.numbered && g.gen != 0 {
		if n, err := t.open(g.gen + 1); n != nil || err != nil {
			return n, err
		}
	}
	gens, err := t.all()
	if err != nil {
		return nil, err
	}
	i := t.after(g, gens)
	if i < 0 || i == len(gens) {
		closeAll(gens)
		if i < 0 {
			return nil, t.missing(gens)
		}
		return nil, nil
	}
	n := gens[i]
	closeAll(slices.Delete(gens, i, i+1))
	return n, nil
}

// after returns the index of the file after g: len(gens) if there is none yet,
// and -1 if it is not among gens.
func (t *remote) after(g *generation, gens []*generation) int {
	if g.gen != 0 && !slices.ContainsFunc(gens, func(o *generation) bool { return o.gen == 0 }) {
		if len(gens) > 0 && gens[len(gens)-1].gen <= g.gen {
			return len(gens)
		}
		return slices.IndexFunc(gens, func(o *generation) bool { return o.gen == g.gen+1 })
	}
	// While g is open no newer file has its inode; older ones may have had it.
	for i := len(gens) - 1; i >= 0; i-- {
		if o := gens[i]; o.id == g.id && (o.gen == g.gen || !g.packed && (o.gen == 0 || g.gen == 0)) {
			return i + 1
		}
	}
	return -1
}

// missing tells why no successor is among gens: it was removed, unless this is the
// moment in which a rotation of a single file has not got that far.
func (t *remote) missing(gens []*generation) error {
	if len(gens) == 0 {
		return nil
	}
	return gapError(t.path)
}

func (t *remote) close() {
	t.once.Do(func() { close(t.stopped) }) // never started
	close(t.stop)
	<-t.stopped
	if t.watcher != nil {
		t.watcher.Close()
	}
}
