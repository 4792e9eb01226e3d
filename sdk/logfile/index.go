package logfile

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"os"
	"sort"
)

// The index is a header and entries of entryBytes each, little-endian:
//
//	header  magic [8], generation, device, inode u64, zero [12], CRC-32C u32
//	entry   offset, highest time, records, sequence, stream u64, anchor, CRC-32C u32
//
// An entry describes the place in the file at its offset. Entries are in order of
// their offsets; several may have the same one, and the last of them holds.
const (
	indexMagic   = "lpindex1"
	entryBytes   = 48
	crcOffset    = entryBytes - 4
	indexSpacing = 128 << 10 // bytes of records from one entry to the next
	anchorBytes  = 64
	// maxStaleEntries is how many entries at the end may disagree with the file
	// before the whole index is taken for that of another file.
	maxStaleEntries = 64
)

var (
	castagnoli   = crc32.MakeTable(crc32.Castagnoli)
	errBadIndex  = errors.New("index is damaged")
	errNoEntries = errors.New("index has no entries")
)

// entry is what the index knows of a place between two records.
type entry struct {
	offset  int64
	maxTime int64  // highest timestamp of the records before, see Nanos; math.MinInt64 if there are none
	records uint64 // number of records before
	seq     uint64 // sequence of the next message; 0 if unknown
	stream  uint64 // whose sequence it is, see streamKey
	anchor  uint32 // CRC-32C of up to anchorBytes before the offset
}

// streamKey shortens Info.Stream.
func streamKey(stream string) uint64 {
	sum := sha256.Sum256([]byte(stream))
	return binary.LittleEndian.Uint64(sum[:])
}

func (e *entry) marshal(b *[entryBytes]byte) {
	le := binary.LittleEndian
	le.PutUint64(b[0:], uint64(e.offset))
	le.PutUint64(b[8:], uint64(e.maxTime))
	le.PutUint64(b[16:], e.records)
	le.PutUint64(b[24:], e.seq)
	le.PutUint64(b[32:], e.stream)
	le.PutUint32(b[40:], e.anchor)
	le.PutUint32(b[crcOffset:], crc32.Checksum(b[:crcOffset], castagnoli))
}

func (e *entry) unmarshal(b *[entryBytes]byte) bool {
	le := binary.LittleEndian
	*e = entry{
		offset:  int64(le.Uint64(b[0:])),
		maxTime: int64(le.Uint64(b[8:])),
		records: le.Uint64(b[16:]),
		seq:     le.Uint64(b[24:]),
		stream:  le.Uint64(b[32:]),
		anchor:  le.Uint32(b[40:]),
	}
	return le.Uint32(b[crcOffset:]) == crc32.Checksum(b[:crcOffset], castagnoli) && e.offset >= 0
}

func marshalHeader(gen uint64, id fileID) (b [entryBytes]byte) {
	le := binary.LittleEndian
	copy(b[:], indexMagic)
	le.PutUint64(b[8:], gen)
	le.PutUint64(b[16:], id.dev)
	le.PutUint64(b[24:], id.ino)
	le.PutUint32(b[crcOffset:], crc32.Checksum(b[:crcOffset], castagnoli))
	return b
}

// index is an open index, for reading.
type index struct {
	f   *os.File
	gen uint64
	id  fileID // of the file that it describes
	n   int    // entries
}

// openIndex opens the index called name. Any error means that there is none
// that can be used.
func openIndex(name string) (*index, error) {
	f, err := openToRead(name)
	if err != nil {
		return nil, err
	}
	x := &index{f: f}
	if err := x.readHeader(); err != nil {
		f.Close()
		return nil, err
	}
	return x, nil
}

func (x *index) readHeader() error {
	var b [entryBytes]byte
	if _, err := x.f.ReadAt(b[:], 0); err != nil {
		return err
	}
	le := binary.LittleEndian
	if string(b[:8]) != indexMagic || le.Uint32(b[crcOffset:]) != crc32.Checksum(b[:crcOffset], castagnoli) {
		return errBadIndex
	}
	x.gen, x.id = le.Uint64(b[8:]), fileID{le.Uint64(b[16:]), le.Uint64(b[24:])}
	fi, err := x.f.Stat()
	if err != nil {
		return err
	}
	x.n = int(fi.Size()/entryBytes) - 1
	return nil
}

func (x *index) close() {
	if x != nil {
		x.f.Close()
	}
}

func (x *index) at(i int) (entry, error) {
	var b [entryBytes]byte
	var e entry
	if _, err := x.f.ReadAt(b[:], int64(i+1)*entryBytes); err != nil {
		return e, fmt.Errorf("%w: %w", errBadIndex, err)
	}
	if !e.unmarshal(&b) {
		return e, errBadIndex
	}
	return e, nil
}

// search returns the first entry for which after is true, n if there is none.
func (x *index) search(after func(*entry) bool) (int, error) {
	var err error
	i := sort.Search(x.n, func(i int) bool {
		e, readErr := x.at(i)
		if readErr != nil {
			err = readErr
			return true
		}
		return after(&e)
	})
	return i, err
}

// trim makes n the number of entries that fit the file: those with an offset of
// at most size whose anchor matches. data is nil for a compressed file, whose
// index cannot be stale.
func (x *index) trim(data io.ReaderAt, size int64) error {
	i, err := x.fitting(size)
	if err != nil {
		return err
	}
	for tries := 0; i > 0; i-- {
		if tries++; tries > maxStaleEntries {
			i = 0
			break
		}
		e, err := x.at(i - 1)
		if err == nil && data != nil {
			var sum uint32
			if sum, err = anchor(data, e.offset); err == nil && sum != e.anchor {
				err = errBadIndex
			}
		}
		if err == nil {
			break
		}
	}
	x.n = i
	if i == 0 {
		return errNoEntries
	}
	return nil
}

// fitting returns how many entries have an offset of at most size: all of them, as
// a rule.
func (x *index) fitting(size int64) (int, error) {
	if x.n > 0 {
		if e, err := x.at(x.n - 1); err == nil && e.offset <= size {
			return x.n, nil
		}
	}
	return x.search(func(e *entry) bool { return e.offset > size })
}

// anchor returns the checksum of what precedes an offset.
func anchor(data io.ReaderAt, off int64) (uint32, error) {
	var b [anchorBytes]byte
	n := min(off, anchorBytes)
	if n > 0 {
		if _, err := data.ReadAt(b[:n], off-n); err != nil {
			return 0, err
		}
	}
	return crc32.Checksum(b[:n], castagnoli), nil
}

// firstEntry is the place where a file starts.
func firstEntry() entry { return entry{maxTime: math.MinInt64} }
