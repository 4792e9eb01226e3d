package logfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

// maxRebuildBytes is up to which size a file without index gets one while the log is
// opened. That of a larger one is built in the background.
const maxRebuildBytes = 1 << 30

// catchUpBytes is by how much building an index may lag behind before it is finished
// while writing waits.
const catchUpBytes = 256 << 10

// errObsolete tells that an index is not for the current file any more.
var errObsolete = errors.New("the file was closed, rotated or cut meanwhile")

// rebuilder builds the index of a large current file that has none, once: a file
// that needs another is rare enough to wait for the next opening or rotation. Its
// zero value has nothing to do.
type rebuilder struct {
	cancel context.CancelFunc
	done   chan struct{} // closed by the goroutine
}

func (r *rebuilder) start(l *Log) {
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel, r.done = cancel, make(chan struct{})
	go func() {
		defer close(r.done)
		if err := l.rebuild(ctx); err != nil && ctx.Err() == nil && !errors.Is(err, errObsolete) {
			l.cfg.OnError(fmt.Errorf("build the index of %s, without which reading from a time is slow: %w", l.cfg.Path, err))
		}
	}()
}

// stop makes it give up, and waits.
func (r *rebuilder) stop() {
	if r.done != nil {
		r.cancel()
		<-r.done
	}
}

// rebuild builds the index of the current file, which is being written to.
func (l *Log) rebuild(ctx context.Context) error {
	l.files.RLock() // a rotation leaves its path without a file for a moment
	want := l.pub.get().gen
	f, err := os.Open(l.cfg.Path)
	l.files.RUnlock()
	if err != nil {
		return err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	shadow := current{f: osFile{f}, gen: want, id: identify(fi), pos: pos{maxTime: firstEntry().maxTime}}
	temp := l.names.indexTemp()
	if shadow.idx, err = createIndex(temp, shadow.gen, shadow.id); err == nil {
		if err = l.survey(ctx, &shadow, f); err != nil {
			shadow.idx.close()
		}
	}
	if err != nil {
		os.Remove(temp)
	}
	return err
}

// survey goes through the file up to its end, and makes the index that of the log.
func (l *Log) survey(ctx context.Context, shadow *current, f *os.File) error {
	if err := shadow.addEntry(); err != nil {
		return err
	}
	limit := func() int64 {
		if p := l.pub.get(); p.gen == shadow.gen {
			return p.size
		}
		return 0
	}
	src := &fileSource{f: f, limit: limit}
	sc, v := newScanner(l.cfg.Format, struct{ io.Reader }{&contextReader{ctx, src}}, 0), newValidator(l.cfg.Format)
	defer v.close()
	for {
		if err := shadow.recount(sc, v, l.cfg.OnError); err != nil {
			return err
		}
		if limit()-sc.off <= catchUpBytes {
			return l.adoptIndex(shadow, sc, v)
		}
	}
}

// adoptIndex makes the index of shadow that of the current file.
func (l *Log) adoptIndex(shadow *current, sc *scanner, v *validator) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.cur.idx != nil || l.cur.gen != shadow.gen || l.cur.id != shadow.id {
		return errObsolete
	}
	if err := shadow.recount(sc, v, l.cfg.OnError); err != nil {
		return err
	}
	if sc.off != l.cur.size {
		return errObsolete
	}
	if err := os.Rename(l.names.indexTemp(), l.names.index(0)); err != nil {
		return err
	}
	shadow.size, shadow.nextSeq = l.cur.size, l.cur.nextSeq
	l.cur.idx, l.cur.pos = shadow.idx, shadow.pos
	if err := l.cur.addEntry(); err != nil {
		return l.abandonIndex(err)
	}
	return nil
}
