package logfile

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/logplug/logplug/shared/logdriver"
)

// Flush makes durable what was appended, in the current file and in those that have
// become full since the last Flush.
func (l *Log) Flush(ctx context.Context) error {
	for {
		l.mu.Lock()
		f, closed := l.cur.f, l.closed
		l.mu.Unlock()
		if closed {
			return fmt.Errorf("flush %s: %w", l.cfg.Path, logdriver.ErrClosed)
		}
		if err := l.flushFull(); err != nil {
			return fmt.Errorf("flush log: %w", err)
		}
		err := f.Sync()
		if errors.Is(err, os.ErrClosed) && ctx.Err() == nil {
			continue // it has become full meanwhile
		}
		if err != nil {
			return fmt.Errorf("flush log: %w", err)
		}
		return nil
	}
}

// flushFull makes the full files durable that need not be.
func (l *Log) flushFull() error {
	l.files.Lock()
	gens := l.volatile
	l.volatile = nil
	l.files.Unlock()
	if len(gens) == 0 {
		return nil
	}
	err := l.syncFull(gens)
	if err != nil {
		l.files.Lock()
		l.volatile = slices.Concat(gens, l.volatile) // for the next Flush
		l.files.Unlock()
	}
	return err
}

// syncFull makes full files durable, as far as they are still there, and their names.
func (l *Log) syncFull(gens []uint64) error {
	for _, gen := range gens {
		g, err := l.openSlot(gen)
		if g == nil && err == nil {
			continue
		}
		if err == nil {
			err = g.f.Sync()
			g.close()
		}
		if err != nil {
			return err
		}
	}
	return syncDir(filepath.Dir(l.cfg.Path))
}

// openSlot opens the file of a generation that is full, nil if it has been removed.
func (l *Log) openSlot(gen uint64) (*generation, error) {
	l.files.RLock()
	defer l.files.RUnlock()
	slot := slices.Index(l.slots, gen) + 1
	if slot == 0 {
		return nil, nil
	}
	return l.names.open(l.key(slot))
}

// becomesFull notes that a file need not be durable. l.files is held.
func (l *Log) becomesFull(gen uint64) {
	if l.cfg.Sync != SyncNone {
		return // rotation has seen to it
	}
	l.volatile = append(l.volatile, gen)
	if over := len(l.volatile) - l.cfg.MaxFiles; over > 0 {
		l.volatile = slices.Delete(l.volatile, 0, over) // these have been removed
	}
}
