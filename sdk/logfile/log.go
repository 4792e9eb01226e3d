package logfile

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const dirMode = 0o750

// Log is a log that is open for writing. Its methods may be called from several
// goroutines.
type Log struct {
	cfg     Config
	names   names
	lock    *os.File
	lastSeq uint64
	stream  uint64

	pub published

	// files is held while files get other names, and by who needs them not to.
	// It is acquired after mu.
	files sync.RWMutex
	slots []uint64 // the generations in slots 1, 2 and so on; 0 where there is none
	// volatile lists full files that need not be durable yet, the oldest first.
	volatile []uint64

	compressor compressor
	syncer     syncer
	retention  retention
	rebuilder  rebuilder
	batches    sync.Pool // of *batch

	mu     sync.Mutex // serialises writing
	closed bool
	enc    Encoder
	cur    current
}

// current is the file that is being written. Log.mu guards it.
type current struct {
	f   writableFile
	idx *indexWriter // nil if there is none
	gen uint64
	id  fileID
	pos
	stream uint64 // that nextSeq belongs to
	// needsSeparator tells that the file ends with an incomplete record.
	needsSeparator bool
	// torn tells that the file holds more than pos.size, which could not be
	// taken back.
	torn bool
}

// pos is a place between two records, as an entry is.
type pos struct {
	size    int64
	maxTime int64
	records uint64
	nextSeq uint64 // 0 if unknown, unclaimed if the index does not tell it
	indexed int64  // offset of the last entry of the index
	entries int    // of the index
}

// unclaimed is the sequence of no message, so that the next one is claimed.
const unclaimed = math.MaxUint64

// claim returns the sequence that an entry for p tells.
func (p *pos) claim() uint64 {
	if p.nextSeq == unclaimed {
		return 0
	}
	return p.nextSeq
}

// key returns the key of what is in a slot.
func (l *Log) key(slot int) uint64 {
	if l.names.numbered {
		return l.slots[slot-1]
	}
	return uint64(slot)
}

// Open opens the log at cfg.Path for writing, and creates it and its directories
// if there is none. What a crash left behind is mended or taken into account. It
// returns logdriver.ErrLogBusy if the log is open for writing already.
func Open(cfg Config) (*Log, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	dir := filepath.Dir(cfg.Path)
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	lock, err := acquire(cfg.Path)
	if err != nil {
		return nil, err
	}
	l := &Log{cfg: cfg, names: cfg.names(), lock: lock, stream: streamKey(cfg.Stream), enc: cfg.Format.NewEncoder()}
	if err := l.recover(); err != nil {
		release(cfg.Path, lock)
		return nil, fmt.Errorf("open log: %w", err)
	}
	if l.cur.idx == nil && l.cur.size > cfg.maxRebuild {
		l.rebuilder.start(l)
	}
	l.retention.check(l)
	l.compressLeftovers()
	return l, nil
}

// LastSeq returns the sequence up to which everything of Config.Stream was held
// when the log was opened, 0 if that is not known. See logdriver.Sequencer.
func (l *Log) LastSeq() uint64 { return l.lastSeq }

// closeGrace is how long Close waits for compression to end. What is then left
// is compressed when the log is opened the next time.
const closeGrace = 2 * time.Second

// Close ends writing. Readers that follow end when they have delivered everything.
func (l *Log) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	err := l.settle()
	l.mu.Unlock()

	l.pub.set(position{gen: l.cur.gen, size: l.cur.size, closed: true})
	l.syncer.stop()
	l.retention.stop()
	l.compressor.stop(closeGrace)
	l.rebuilder.stop()
	l.cur.idx.close()
	if closeErr := l.cur.f.Close(); err == nil {
		err = closeErr
	}
	release(l.cfg.Path, l.lock)
	if err != nil {
		return fmt.Errorf("close log %s: %w", l.cfg.Path, err)
	}
	return nil
}

// settle leaves the current file as it is to be kept.
func (l *Log) settle() error {
	if l.cur.torn {
		if err := l.cur.f.Truncate(l.cur.size); err != nil {
			return err
		}
	}
	if err := l.mark(); err != nil {
		l.cfg.OnError(err)
	}
	if l.cfg.Sync == SyncNone {
		return nil
	}
	return l.cur.f.Sync()
}

func (l *Log) publish() { l.pub.set(position{gen: l.cur.gen, size: l.cur.size}) }
