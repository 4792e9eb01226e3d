package logfile

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// generation is one file of a log, open for reading.
type generation struct {
	f      *os.File
	name   string
	id     fileID // of the uncompressed file
	self   fileID // of f
	gen    uint64 // 0 if unknown
	idx    *index // nil if there is none
	packed bool   // compressed with codec
	codec  Codec
	// size is where reading the past ends; -1 for a compressed file, which is
	// read to its end.
	size int64
	// maxTime, of a compressed file, is the highest timestamp in it, where known.
	maxTime time.Time
}

// packedExtra is kept in the header of a compressed file, as JSON. lastTime is
// also known to Docker, which skips the file when reading from a later time.
type packedExtra struct {
	LastTime   time.Time `json:"lastTime,omitzero"`
	Generation uint64    `json:"generation,omitempty"`
	Device     uint64    `json:"device,omitempty"`
	Inode      uint64    `json:"inode,omitempty"`
}

// open opens the file with the given key. It returns nil if there is none.
func (n names) open(key uint64) (*generation, error) {
	name := n.file(key)
	f, err := openToRead(name)
	packed := false
	if errors.Is(err, fs.ErrNotExist) && key > 0 {
		name, packed = n.packed(key), true
		f, err = openToRead(name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open log to read: %w", err)
	}
	g := &generation{f: f, name: name, packed: packed, codec: n.codec, size: -1}
	if err := g.identify(); err != nil {
		f.Close()
		return nil, err
	}
	if n.numbered {
		g.gen = key
	}
	return g, nil
}

func (g *generation) identify() error {
	fi, err := g.f.Stat()
	if err != nil {
		return fmt.Errorf("open log to read: %w", err)
	}
	if !fi.Mode().IsRegular() {
		return fmt.Errorf("open log to read: %s is not a regular file", g.name)
	}
	g.self = identify(fi)
	if !g.packed {
		g.id, g.size = g.self, fi.Size()
		return nil
	}
	// A file that is not compressed is reported when it is read.
	g.identifyPacked(g.codec.extra(io.NewSectionReader(g.f, 0, fi.Size())))
	return nil
}

func (g *generation) identifyPacked(extra []byte) {
	var x packedExtra
	// Docker's lastTime is that of the last record, which need not be the
	// highest, so that only ours is of use.
	if json.Unmarshal(extra, &x) == nil && x.Generation != 0 {
		g.gen, g.id, g.maxTime = x.Generation, fileID{x.Device, x.Inode}, x.LastTime
	}
}

// adopt gives g its index if x is that, and tells whether it is.
func (g *generation) adopt(x *index) bool {
	if g.idx != nil || x.id != g.id || g.id == (fileID{}) || (g.gen != 0 && g.gen != x.gen) {
		return false
	}
	g.gen, g.idx = x.gen, x
	return true
}

// usableIndex keeps the index only as far as it fits the file, and drops it
// where it does not.
func (g *generation) usableIndex() {
	if g.idx == nil {
		return
	}
	var err error
	if g.packed {
		if g.idx.n <= 0 {
			err = errNoEntries
		}
	} else {
		err = g.idx.trim(g.f, g.size)
	}
	if err != nil {
		g.idx.close()
		g.idx = nil
	}
}

func (g *generation) close() {
	if g == nil {
		return
	}
	g.idx.close()
	g.f.Close()
}

func closeAll(gens []*generation) {
	for _, g := range gens {
		g.close()
	}
}

// scan cuts the file into frames from an offset, up to limit if the file is
// not compressed.
func (g *generation) scan(f Framing, off int64, limit func() int64) (*scanner, error) {
	if !g.packed {
		// Without a limit, there may be more at any time.
		return newSizedScanner(f, &fileSource{f: g.f, off: off, limit: limit}, off, max(limit()-off, 0)), nil
	}
	if _, err := g.f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	zr, err := g.codec.reader(bufio.NewReaderSize(g.f, 64<<10))
	if err != nil {
		return nil, err
	}
	if _, err := io.CopyN(io.Discard, zr, off); err != nil {
		return nil, err
	}
	return newScanner(f, zr, off), nil
}
