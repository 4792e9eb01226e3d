package logfile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"
	"sync"
	"time"
)

// compressor compresses full files, one after the other, the newest first: it
// is the one that is kept for longest.
type compressor struct {
	mu      sync.Mutex
	again   bool // there may be more to do
	stopped bool
	cancel  context.CancelFunc
	done    chan struct{} // closed by the goroutine that runs; nil if none does
}

// start sees to it that what there is gets compressed.
func (c *compressor) start(l *Log) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.again = true
	if c.done != nil || c.stopped {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel, c.done = cancel, make(chan struct{})
	go c.run(ctx, l)
}

// stop waits for the goroutine, and makes it give up after a while.
func (c *compressor) stop(grace time.Duration) {
	c.mu.Lock()
	c.stopped = true
	done, cancel := c.done, c.cancel
	c.mu.Unlock()
	if done == nil {
		return
	}
	timer := time.AfterFunc(grace, cancel)
	<-done
	timer.Stop()
	cancel()
}

func (c *compressor) run(ctx context.Context, l *Log) {
	failed := map[uint64]bool{}
	for ctx.Err() == nil {
		gen := l.uncompressed(failed)
		if gen == 0 {
			if c.rest() {
				return
			}
			clear(failed) // a failure is tried again after the next rotation
			continue
		}
		if err := l.compress(ctx, gen); err != nil {
			failed[gen] = true
			if ctx.Err() == nil {
				l.cfg.OnError(err)
			}
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.done)
	c.done = nil
}

// rest ends the goroutine if there is nothing more to do.
func (c *compressor) rest() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.again {
		c.again = false
		return false
	}
	c.cancel()
	close(c.done)
	c.done = nil
	return true
}

// compressLeftovers begins with what an earlier writer did not get to.
func (l *Log) compressLeftovers() {
	if l.cfg.Compress && l.uncompressed(nil) != 0 {
		l.compressor.start(l)
	}
}

// uncompressed returns the newest generation that is full and not compressed.
func (l *Log) uncompressed(except map[uint64]bool) uint64 {
	l.files.RLock()
	defer l.files.RUnlock()
	for i, gen := range l.slots {
		if gen == 0 || except[gen] {
			continue
		}
		if _, err := os.Stat(l.names.file(l.key(i + 1))); err == nil {
			return gen
		}
	}
	return 0
}

// compress puts a compressed file in place of that of a generation, wherever
// rotations have moved it in the meantime.
func (l *Log) compress(ctx context.Context, gen uint64) error {
	src, err := l.openFull(gen)
	if src == nil || err != nil {
		return err
	}
	defer src.close()
	temp := l.names.packedTemp()
	if err = l.compressTo(ctx, temp, src); err == nil {
		err = l.installCompressed(temp, gen)
	}
	if err != nil {
		os.Remove(temp)
		return fmt.Errorf("compress %s: %w", src.name, err)
	}
	return nil
}

func (l *Log) openFull(gen uint64) (*generation, error) {
	l.files.RLock()
	defer l.files.RUnlock()
	slot := slices.Index(l.slots, gen) + 1
	if slot == 0 {
		return nil, nil
	}
	key := l.key(slot)
	g, err := l.names.open(key)
	if g == nil || g.packed {
		g.close()
		return nil, err
	}
	if x, err := openIndex(l.names.index(key)); err == nil && !g.adopt(x) {
		x.close()
	}
	g.gen = gen
	g.usableIndex()
	return g, nil
}

func (l *Log) compressTo(ctx context.Context, temp string, src *generation) error {
	dst, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, fileMode)
	if err != nil {
		return err
	}
	defer dst.Close()
	extra, err := json.Marshal(src.extra())
	if err != nil {
		return err
	}
	zw, err := l.cfg.Codec.writer(dst, extra)
	if err != nil {
		return err
	}
	r := &contextReader{ctx, io.NewSectionReader(src.f, 0, src.size)}
	if _, err := io.CopyBuffer(struct{ io.Writer }{zw}, r, make([]byte, 128<<10)); err != nil {
		return err
	}
	if err := zw.Close(); err != nil {
		return err
	}
	// The original may be on the disk for long, and is removed.
	if err := dst.Sync(); err != nil {
		return err
	}
	if err := dst.Close(); err != nil {
		return err
	}
	fi, err := src.f.Stat()
	if err != nil {
		return err
	}
	return os.Chtimes(temp, fi.ModTime(), fi.ModTime()) // which tells how old the records are
}

func (g *generation) extra() packedExtra {
	x := packedExtra{Generation: g.gen, Device: g.id.dev, Inode: g.id.ino}
	if g.idx == nil {
		return x
	}
	last, err := g.idx.at(g.idx.n - 1)
	if err == nil && last.offset == g.size && last.maxTime != math.MinInt64 && last.maxTime != math.MaxInt64 {
		x.LastTime = time.Unix(0, last.maxTime).UTC()
	}
	return x
}

// installCompressed puts temp, which is durable, in place of the file of gen.
func (l *Log) installCompressed(temp string, gen uint64) error {
	l.files.Lock()
	defer l.files.Unlock()
	slot := slices.Index(l.slots, gen) + 1
	if slot == 0 { // removed meanwhile
		return os.Remove(temp)
	}
	if err := os.Rename(temp, l.names.packed(l.key(slot))); err != nil {
		return err
	}
	if err := os.Remove(l.names.file(l.key(slot))); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// contextReader fails once its context has ended.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (r *contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}
