package spool

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/logplug/logplug/shared/logdriver"
)

const (
	loggersDir = "loggers"
	recordEnd  = ".json"
	// maxRecordBytes bounds what is read of a record.
	maxRecordBytes = 4 << 20
)

// Record says whose messages a stream has, so that another process can deliver
// them. It holds options with their secrets: its file is for its owner only.
type Record struct {
	Driver string         `json:"driver"`
	Info   logdriver.Info `json:"info"`
	// CacheOf is set for the cache of a logger: the name of that one's driver.
	CacheOf string `json:"cacheOf,omitempty"`
	// Opened is when that was. Of several streams that belong to one log, what is
	// older goes first.
	Opened time.Time `json:"opened,omitzero"`
}

// ParseStream is the inverse of Stream.String.
func ParseStream(text string) (s Stream, err error) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != len(s) {
		return s, fmt.Errorf("%q does not name a stream: want %d hexadecimal digits", text, 2*len(s))
	}
	return Stream(b), nil
}

// String returns the stream in hexadecimal digits.
func (s Stream) String() string { return hex.EncodeToString(s[:]) }

func (d *Dir) recordPath(s Stream) string {
	return filepath.Join(d.path, loggersDir, s.String()+recordEnd)
}

// Remember stores the record of a stream before its first message. If it is to be
// durable, it survives a loss of power from then on.
func (d *Dir) Remember(s Stream, r Record, durable bool) error {
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("spool record of %s: %w", s, err)
	}
	dir := filepath.Join(d.path, loggersDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	tmp := d.recordPath(s) + ".tmp"
	if err := d.writeFile(tmp, text, durable); err != nil {
		return err
	}
	if err := os.Rename(tmp, d.recordPath(s)); err != nil || !durable {
		return err
	}
	// The names above the record may be as new as it is.
	for _, p := range []string{dir, d.path, filepath.Dir(d.path)} {
		if err := SyncPath(p, d.sync); err != nil {
			return err
		}
		if d.named.Load() {
			break
		}
	}
	d.named.Store(true)
	return nil
}

func (d *Dir) writeFile(path string, text []byte, durable bool) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if _, err = f.Write(text); err == nil && durable {
		err = d.sync(f)
	}
	return errors.Join(err, f.Close())
}

// SyncPath calls sync for a directory, which makes its names durable. A file system
// that has no such thing is no error.
func SyncPath(path string, sync func(*os.File) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	err = sync(f)
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.EINVAL) {
		err = nil
	}
	return errors.Join(err, f.Close())
}

// Forget removes the record of a stream that has nothing left.
func (d *Dir) Forget(s Stream) error {
	err := os.Remove(d.recordPath(s))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// Lookup returns the record of a stream.
func (d *Dir) Lookup(s Stream) (r Record, err error) {
	f, err := os.Open(d.recordPath(s))
	if err != nil {
		return r, err
	}
	defer f.Close()
	if err := json.NewDecoder(io.LimitReader(f, maxRecordBytes)).Decode(&r); err != nil {
		return r, fmt.Errorf("spool record %s: %w", f.Name(), err)
	}
	return r, nil
}

// Sweep removes the records of all streams but those that are kept.
func (d *Dir) Sweep(kept func(Stream) bool) error {
	entries, err := os.ReadDir(filepath.Join(d.path, loggersDir))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		s, err := ParseStream(strings.TrimSuffix(e.Name(), recordEnd))
		if err == nil && kept(s) {
			continue
		}
		if strings.HasSuffix(e.Name(), recordEnd) || strings.HasSuffix(e.Name(), ".tmp") {
			errs = append(errs, os.Remove(filepath.Join(d.path, loggersDir, e.Name())))
		}
	}
	return errors.Join(errs...)
}
