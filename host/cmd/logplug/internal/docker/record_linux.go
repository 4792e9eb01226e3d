package docker

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/logplug/logplug/shared/logdriver"
)

const (
	recordFile   = "record.json"
	journalFile  = "journal"
	positionName = "position"
	// newSuffix ends the name of a directory that is not complete.
	newSuffix = ".new"
	// maxRecordBytes bounds what is read of a record.
	maxRecordBytes = 8 << 20
)

// record is what is remembered of a FIFO for as long as its output is not delivered:
// the daemon does not repeat it. It holds options with their secrets and is readable
// by its owner only.
type record struct {
	File   string         `json:"file"` // the FIFO
	Driver string         `json:"driver"`
	Info   logdriver.Info `json:"info"`
	Began  time.Time      `json:"began"`
}

// key tells containers apart.
func (r *record) key() string {
	if r.Info.ContainerID != "" {
		return r.Info.ContainerID
	}
	return r.File
}

// newStream makes up an Info.Stream.
func newStream() string {
	var raw [16]byte
	rand.Read(raw[:]) // never fails
	return hex.EncodeToString(raw[:])
}

// dirName is the name of the directory of a FIFO's state.
func dirName(fifo string) string {
	sum := sha256.Sum256([]byte(fifo))
	return hex.EncodeToString(sum[:16])
}

// create makes the directory of r's state below parent, whole or not at all.
func (r *record) create(parent string) (dir string, err error) {
	dir = filepath.Join(parent, dirName(r.File))
	tmp := dir + newSuffix
	if err := errors.Join(os.RemoveAll(tmp), os.MkdirAll(tmp, 0o700)); err != nil {
		return "", err
	}
	text, err := json.Marshal(r)
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(tmp, recordFile), text, 0o600); err != nil {
		return "", err
	}
	return dir, os.Rename(tmp, dir)
}

func readRecord(dir string) (r record, err error) {
	f, err := os.Open(filepath.Join(dir, recordFile))
	if err != nil {
		return r, err
	}
	defer f.Close()
	if err := json.NewDecoder(io.LimitReader(f, maxRecordBytes)).Decode(&r); err != nil {
		return r, fmt.Errorf("%s: %w", f.Name(), err)
	}
	return r, nil
}

// found is a directory with its record.
type found struct {
	dir string
	record
}

// findRecords returns what an earlier service left, in the order in which it began.
// Directories that cannot be understood are reported and stay; they are in others.
func findRecords(parent string) (all []found, others []string, err error) {
	entries, err := os.ReadDir(parent)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil, nil
	}
	var errs []error
	for _, e := range entries {
		dir := filepath.Join(parent, e.Name())
		if strings.HasSuffix(e.Name(), newSuffix) {
			errs = append(errs, os.RemoveAll(dir))
			continue
		}
		r, err := readRecord(dir)
		if err != nil {
			errs, others = append(errs, err), append(others, dir)
			continue
		}
		all = append(all, found{dir, r})
	}
	slices.SortStableFunc(all, func(a, b found) int { return a.Began.Compare(b.Began) })
	return all, others, errors.Join(append(errs, err)...)
}
