package importer

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
)

// File is one log file.
type File struct {
	Path string
	// Size is how large it is, in bytes as it is stored.
	Size int64

	file *os.File // is open, so that it can be rotated meanwhile
}

// reader reads the uncompressed content.
type reader struct {
	r    io.Reader
	raw  counter
	seen int64 // uncompressed bytes
}

// counter counts the stored bytes.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

func (r *reader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	r.seen += int64(n)
	return n, err
}

const gzipMagic = "\x1f\x8b"

// open returns a reader from the beginning, whether the file is compressed or not.
func (f *File) open() (*reader, error) {
	r := &reader{}
	r.raw.r = io.NewSectionReader(f.file, 0, math.MaxInt64)
	r.r = &r.raw
	var head [len(gzipMagic)]byte
	n, err := f.file.ReadAt(head[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if string(head[:n]) == gzipMagic {
		if r.r, err = gzip.NewReader(&r.raw); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Path, err)
		}
	}
	return r, nil
}

// Close closes files that Find has opened.
func Close(files []File) {
	for _, f := range files {
		_ = f.file.Close() // nothing was written
	}
}

// Names of rotated files: Docker appends ".N", the highest the oldest; kubelet a
// time, the highest the latest. Either may append ".gz".
var (
	numbered = regexp.MustCompile(`^\.(\d{1,9})(\.gz)?$`)
	dated    = regexp.MustCompile(`^\.(\d{8}-\d{6})(\.gz)?$`)
)

// Find returns the files that belong to the logs at paths, the oldest first: those
// that were rotated come before the log itself. Logs keep the order in which they are
// given. Close closes the files.
func Find(paths []string) ([]File, error) { return find(paths, openFile) }

const (
	// tries is how often files are looked for that are rotated meanwhile, and pause the
	// time between.
	tries = 10
	pause = 10 * time.Millisecond
)

// find looks again if files were rotated while they were opened: one that got another's
// name just then was not opened.
func find(paths []string, open func(path string) (File, error)) (files []File, err error) {
	for try := 1; ; try++ {
		files, err = openAll(paths, open)
		if err == nil {
			if err = unchanged(paths, files); err == nil {
				return files, nil
			}
			Close(files)
		}
		// A log is not there at the moment at which it is rotated.
		if moved := errors.Is(err, errRotated) || errors.Is(err, fs.ErrNotExist); !moved || try == tries {
			return nil, err
		}
		time.Sleep(pause)
	}
}

var errRotated = errors.New("the files are rotated faster than they can be opened; try again")

// unchanged returns errRotated unless files are still all that belong to the logs.
func unchanged(paths []string, files []File) error {
	names, err := list(paths)
	if err != nil {
		return err
	}
	if len(names) != len(files) {
		return errRotated
	}
	for i, f := range files {
		opened, err := f.file.Stat()
		if err != nil {
			return err
		}
		now, err := os.Stat(names[i])
		if err != nil {
			return err
		}
		if names[i] != f.Path || !os.SameFile(opened, now) {
			return errRotated
		}
	}
	return nil
}

func openAll(paths []string, open func(path string) (File, error)) (files []File, err error) {
	names, err := list(paths)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		f, err := open(name)
		if err != nil {
			Close(files)
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

// list returns the names of the files that belong to the logs at paths, each once.
func list(paths []string) (names []string, err error) {
	known := make(map[string]bool)
	for _, path := range paths {
		older, err := rotated(path)
		if err != nil {
			return nil, err
		}
		for _, p := range append(older, path) {
			p = filepath.Clean(p)
			if !known[p] {
				known[p] = true
				names = append(names, p)
			}
		}
	}
	return names, nil
}

func openFile(path string) (f File, err error) {
	// A FIFO would make opening wait.
	info, err := os.Stat(path)
	if err != nil {
		return f, err
	}
	if !info.Mode().IsRegular() {
		return f, fmt.Errorf("%s is not a file", path)
	}
	file, err := os.Open(path)
	return File{Path: path, Size: info.Size(), file: file}, err
}

// rotated returns the files that were rotated away from path, the oldest first.
func rotated(path string) ([]string, error) {
	dir, base := filepath.Split(path)
	if dir == "" {
		dir = "."
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	type old struct{ path, key string }
	var list []old
	for _, e := range entries {
		rest, ok := strings.CutPrefix(e.Name(), base)
		if !ok {
			continue
		}
		if m := numbered.FindStringSubmatch(rest); m != nil {
			n, _ := strconv.Atoi(m[1]) // digits
			list = append(list, old{filepath.Join(dir, e.Name()), fmt.Sprintf("0 %010d", 1_000_000_000-n)})
		} else if m := dated.FindStringSubmatch(rest); m != nil {
			list = append(list, old{filepath.Join(dir, e.Name()), "1 " + m[1]})
		}
	}
	slices.SortFunc(list, func(a, b old) int { return strings.Compare(a.key+a.path, b.key+b.path) })
	paths := make([]string, 0, len(list))
	for i, o := range list {
		// While a file is being compressed it is there twice.
		if i > 0 && list[i-1].key == o.key {
			continue
		}
		paths = append(paths, o.path)
	}
	return paths, nil
}

// identity recognizes a file by its content, which does not change when it is
// rotated, compressed or written on.
type identity struct {
	Bytes int64  `json:"bytes"` // from the front, uncompressed
	Sum   string `json:"sha256"`
}

// identityBytes is how much of a file is looked at.
const identityBytes = 4 << 10

// identify returns the identity by at most limit bytes.
func (f *File) identify(limit int64) (id identity, err error) {
	r, err := f.open()
	if err != nil {
		return id, err
	}
	h := sha256.New()
	n, err := io.CopyN(h, r, min(limit, identityBytes))
	if err != nil && !errors.Is(err, io.EOF) && !(isDamage(err) && n > 0) {
		return id, fmt.Errorf("read %s: %w", f.Path, err)
	}
	return identity{Bytes: n, Sum: hex.EncodeToString(h.Sum(nil))}, nil
}
