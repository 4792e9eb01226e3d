package logfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// names tells what the files of a log are called. An older file is known by a key:
// its slot, from 1 for the newest, or with numbered its generation. The key
// of the current file is 0.
type names struct {
	path     string
	codec    Codec
	numbered bool
}

func (c *Config) names() names { return names{c.Path, c.Codec, c.Numbered} }

func (n names) file(key uint64) string {
	switch {
	case key == 0:
		return n.path
	case n.numbered:
		return fmt.Sprintf("%s.%08d", n.path, key)
	}
	return n.path + "." + strconv.FormatUint(key, 10)
}

func (n names) packed(key uint64) string { return n.file(key) + n.codec.ext() }
func (n names) index(key uint64) string  { return n.file(key) + ".idx" }
func (n names) packedTemp() string       { return n.path + n.codec.ext() + ".tmp" }
func (n names) fresh() string            { return n.path + ".new" }
func (n names) freshIndex() string       { return n.fresh() + ".idx" }

func (n names) indexTemp() string { return n.index(0) + ".tmp" }

func lockName(path string) string { return path + ".lock" }

// remove removes a file, compressed or not, and its index.
func (n names) remove(key uint64) error {
	for _, name := range []string{n.file(key), n.packed(key), n.index(key)} {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// newest returns the highest number of a file; 0 if there is none.
func (n names) newest() (uint64, error) { return n.highest(n.file, n.packed) }

// newestIndex returns the highest number of an index, with or without its file.
func (n names) newestIndex() (uint64, error) { return n.highest(n.index) }

// highest looks through the directory for the highest number that is part of one
// of the names that are made from it.
func (n names) highest(made ...func(uint64) string) (uint64, error) {
	d, err := os.Open(filepath.Dir(n.path))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("look for log files: %w", err)
	}
	defer d.Close()
	all, err := d.Readdirnames(-1)
	if err != nil {
		return 0, fmt.Errorf("look for log files: %w", err)
	}
	highest, prefix := uint64(0), filepath.Base(n.path)+"."
	for _, name := range all {
		rest, ok := strings.CutPrefix(name, prefix)
		digits, _, _ := strings.Cut(rest, ".")
		number, err := strconv.ParseUint(digits, 10, 63)
		if !ok || err != nil || number <= highest {
			continue
		}
		if slices.ContainsFunc(made, func(f func(uint64) string) bool { return filepath.Base(f(number)) == name }) {
			highest = number
		}
	}
	return highest, nil
}
