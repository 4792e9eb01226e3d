package logfile

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/logplug/logplug/shared/logdriver"
)

// Reader reads a log that this process does not write.
type Reader struct{ cfg Config }

// OpenReader returns a reader of the log at cfg.Path, which another process may be
// writing. It returns logdriver.ErrNoLog if there is no such log. Of cfg
// only Path, Format and MaxFiles matter.
func OpenReader(cfg Config) (*Reader, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if isFile(cfg.Path) {
		return &Reader{cfg}, nil // the usual case, without opening all files twice
	}
	gens, err := cfg.names().openAll(cfg.MaxFiles)
	if err != nil {
		return nil, err
	}
	closeAll(gens)
	if len(gens) == 0 {
		return nil, fmt.Errorf("%w: there is no file %s", logdriver.ErrNoLog, cfg.Path)
	}
	return &Reader{cfg}, nil
}

// isFile tells whether there is a regular file that can be read.
func isFile(path string) bool {
	fi, err := os.Stat(path)
	if err != nil || !fi.Mode().IsRegular() {
		return false
	}
	f, err := openToRead(path)
	if err != nil {
		return false
	}
	return f.Close() == nil
}

// ReadLogs implements logdriver.LogReader. A reading that follows goes on for as
// long as a process writes the log.
func (r *Reader) ReadLogs(ctx context.Context, cfg logdriver.ReadConfig) *logdriver.LogWatcher {
	return read(ctx, r.cfg.Format, newRemote(&r.cfg), cfg)
}

// ReadLogs implements logdriver.LogReader. It may be called also after Close.
func (l *Log) ReadLogs(ctx context.Context, cfg logdriver.ReadConfig) *logdriver.LogWatcher {
	return read(ctx, l.cfg.Format, local{l}, cfg)
}

// read starts a reading. Which records are of the past is settled before it
// returns.
func read(ctx context.Context, f Format, t tracker, cfg logdriver.ReadConfig) *logdriver.LogWatcher {
	w := logdriver.NewLogWatcher()
	gens, err := t.snapshot()
	if err == nil && len(gens) == 0 {
		err = fmt.Errorf("read log: %w", logdriver.ErrNoLog)
	}
	if err != nil {
		t.close()
		w.Fail(err)
		close(w.Msg)
		return w
	}
	r := &reading{
		ctx: ctx, w: w, format: f, cfg: cfg, tracker: t, gens: gens,
		dec: f.NewDecoder(), matched: cfg.Since.IsZero(),
		expires: cfg.Until.After(time.Now()),
	}
	go r.run()
	return w
}
