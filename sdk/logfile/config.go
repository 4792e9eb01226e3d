package logfile

import (
	"errors"
	"fmt"
	"time"
)

// SyncMode decides when records are made to survive a loss of power. A crash of
// the process loses nothing in any mode.
type SyncMode int

// The modes.
const (
	// SyncNone leaves it to the operating system.
	SyncNone SyncMode = iota
	// SyncInterval does it Config.SyncInterval after a write, at the latest.
	SyncInterval
	// SyncBatch does it before a write is reported as done.
	SyncBatch
)

// Config describes a log.
type Config struct {
	// Path is the file.
	Path string
	// Format says what records look like.
	Format Format
	// MaxSize is the number of bytes at which a file gets no further
	// record; 0 for no limit. A file exceeds it by less than one record.
	MaxSize int64
	// MaxFiles is how many files are kept, the current one included; 0 means 1.
	MaxFiles int
	// MaxAge, if not 0, is for how long a full file is kept after it was last
	// written to.
	MaxAge time.Duration
	// Compress tells to compress files once they are full, with Codec. The codec
	// must be given also where files were compressed in earlier runs.
	Compress bool
	Codec    Codec
	// Numbered tells to call older files by their generation, PATH.00000001 and
	// so on, so that they keep their names, instead of PATH.1 for the newest.
	Numbered bool
	// Sync and SyncInterval say when records are made durable.
	Sync         SyncMode
	SyncInterval time.Duration
	// Stream identifies the sequence space of the messages that are written.
	Stream string
	// OnError, if set, is told of errors that no caller can be given: those of
	// compression, of periodic synchronisation and of the index. It may be
	// called from several goroutines.
	OnError func(error)

	maxRebuild int64 // see maxRebuildBytes
}

func (c *Config) check() error {
	switch {
	case c.Path == "":
		return errors.New("open log: no path is given")
	case c.Format == nil:
		return fmt.Errorf("open log %s: no format is given", c.Path)
	case c.MaxSize < 0 || c.MaxFiles < 0 || c.MaxAge < 0:
		return fmt.Errorf("open log %s: negative limits", c.Path)
	case c.Sync == SyncInterval && c.SyncInterval <= 0:
		return fmt.Errorf("open log %s: the interval of synchronisation must be positive", c.Path)
	}
	if c.MaxFiles == 0 {
		c.MaxFiles = 1
	}
	if c.maxRebuild == 0 {
		c.maxRebuild = maxRebuildBytes
	}
	if c.OnError == nil {
		c.OnError = func(error) {}
	}
	return nil
}
