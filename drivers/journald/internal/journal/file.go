package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// Errors of reading a file.
var (
	// ErrForeign reports a file that is no journal, or one of a newer format.
	ErrForeign = errors.New("not a journal file that can be read")
	// ErrDamaged reports objects that contradict the format.
	ErrDamaged = errors.New("damaged journal file")
)

// Types of objects.
const (
	objectData       = 1
	objectEntry      = 3
	objectEntryArray = 6
)

// Incompatible flags of a header. The compression flags are told by each object.
const (
	flagKeyedHash = 1 << 2
	flagCompact   = 1 << 4

	knownFlags = 1<<0 | 1<<1 | flagKeyedHash | 1<<3 | flagCompact
)

const (
	// headerBytes is what of the header is read; all versions have it.
	headerBytes     = 208
	stateArchived   = 2
	objectHeaderLen = 16
	entryHeaderLen  = 64
	arrayHeaderLen  = 24
)

// ID is a 128-bit ID of systemd.
type ID [16]byte

// file is a journal file that is open for reading. It is not safe for concurrent use.
type file struct {
	r        io.ReaderAt
	id       ID
	seqnumID ID
	compact  bool
	keyed    bool
	table    uint64 // offset of the data hash table's items
	buckets  uint64

	cache   blocks
	scratch []byte
	known   map[uint64][]byte // payloads that many entries share
	zstd    *zstd.Decoder     // nil until it is needed
}

func openFile(r io.ReaderAt) (*file, error) {
	var h [headerBytes]byte
	if _, err := r.ReadAt(h[:], 0); err != nil {
		return nil, fmt.Errorf("%w: read its header: %w", ErrForeign, err)
	}
	if string(h[:8]) != "LPKSHHRH" {
		return nil, fmt.Errorf("%w: no journal's signature", ErrForeign)
	}
	flags := binary.LittleEndian.Uint32(h[12:])
	if unknown := flags &^ knownFlags; unknown != 0 {
		return nil, fmt.Errorf("%w: it has unknown incompatible flags %#x", ErrForeign, unknown)
	}
	f := &file{
		r: r, id: ID(h[24:40]), seqnumID: ID(h[72:88]),
		keyed: flags&flagKeyedHash != 0, compact: flags&flagCompact != 0,
		table: binary.LittleEndian.Uint64(h[104:]), buckets: binary.LittleEndian.Uint64(h[112:]) / 16,
	}
	if f.buckets == 0 || f.table < headerBytes {
		return nil, fmt.Errorf("%w: it has no hash table yet", ErrForeign)
	}
	return f, nil
}

// archived tells that journald does not write the file any more.
func (f *file) archived() bool {
	var state [1]byte
	_, err := f.r.ReadAt(state[:], 16)
	return err == nil && state[0] == stateArchived
}

// renew reads again what the first entry may change in the header.
func (f *file) renew() error {
	var id ID
	if err := f.fresh(72, id[:]); err != nil {
		return err
	}
	f.seqnumID = id
	return nil
}

func (f *file) damaged(off uint64, what string) error {
	return fmt.Errorf("%w: %s at offset %d", ErrDamaged, what, off)
}

// fresh reads what may have changed since the last refresh.
func (f *file) fresh(off uint64, b []byte) error {
	if off >= 1<<62 {
		return f.damaged(off, "an offset out of range")
	}
	if _, err := f.r.ReadAt(b, int64(off)); err != nil {
		return fmt.Errorf("%w: read %d bytes at offset %d: %w", ErrDamaged, len(b), off, err)
	}
	return nil
}

// at returns n bytes of an object. They are valid until the next call.
func (f *file) at(off uint64, n int) ([]byte, error) {
	if off >= 1<<62 {
		return nil, f.damaged(off, "an offset out of range")
	}
	if b := f.cache.get(f.r, off, n); b != nil {
		return b, nil
	}
	if cap(f.scratch) < n {
		// A length may be a lie: nothing is allocated for what is not there.
		var last [1]byte
		if err := f.fresh(off+uint64(n)-1, last[:]); err != nil {
			return nil, err
		}
		f.scratch = make([]byte, n)
	}
	b := f.scratch[:n]
	return b, f.fresh(off, b)
}

// object checks an object's header and returns its flags and size.
func (f *file) object(off uint64, kind byte, least uint64) (flags byte, size uint64, err error) {
	if off%8 != 0 || off < headerBytes {
		return 0, 0, f.damaged(off, "an offset that is none")
	}
	h, err := f.at(off, objectHeaderLen)
	if err != nil {
		return 0, 0, err
	}
	flags, size = h[1], binary.LittleEndian.Uint64(h[8:])
	if h[0] != kind || size < least || size > 1<<40 {
		return 0, 0, f.damaged(off, fmt.Sprintf("an object of type %d and %d bytes, want type %d", h[0], size, kind))
	}
	return flags, size, nil
}

// payloadStart is the offset of a data object's payload in the object.
func (f *file) payloadStart() uint64 {
	if f.compact {
		return 72
	}
	return 64
}

// maxKnown bounds the number and the size of remembered payloads.
const (
	maxKnown      = 512
	maxKnownBytes = 1 << 10
)

// payload returns the content of a data object: "NAME=value". It is valid until
// the next call of any method.
func (f *file) payload(off uint64) ([]byte, error) {
	if b, ok := f.known[off]; ok {
		return b, nil
	}
	start := f.payloadStart()
	flags, size, err := f.object(off, objectData, start)
	if err != nil {
		return nil, err
	}
	if size-start > MaxDataBytes {
		return nil, f.damaged(off, "a field that is too large")
	}
	shared, err := f.at(off+56, 8)
	if err != nil {
		return nil, err
	}
	many := binary.LittleEndian.Uint64(shared) > 1
	b, err := f.at(off+start, int(size-start))
	if err != nil {
		return nil, err
	}
	if flags&compressedMask != 0 {
		if b, err = f.decompress(flags, b); err != nil {
			return nil, fmt.Errorf("%w: at offset %d: %w", ErrDamaged, off, err)
		}
	}
	if many && len(b) <= maxKnownBytes {
		f.remember(off, b)
	}
	return b, nil
}

func (f *file) remember(off uint64, b []byte) {
	if f.known == nil || len(f.known) >= maxKnown {
		f.known = make(map[uint64][]byte)
	}
	f.known[off] = bytes.Clone(b)
}

// find looks for the data object with the given content; 0 means that there is none.
func (f *file) find(content []byte) (uint64, error) {
	hash := jenkinsHash(content)
	if f.keyed {
		hash = sipHash(f.id, content)
	}
	var b [objectHeaderLen + 16]byte
	if err := f.fresh(f.table+16*(hash%f.buckets), b[:8]); err != nil {
		return 0, err
	}
	for off, last := binary.LittleEndian.Uint64(b[:]), uint64(0); off != 0; {
		if off <= last { // objects are appended, so a chain ascends
			return 0, f.damaged(off, "a hash chain that does not ascend")
		}
		last = off
		if err := f.fresh(off, b[:]); err != nil {
			return 0, err
		}
		if binary.LittleEndian.Uint64(b[16:]) == hash {
			f.cache.drop() // a block may have been read before this was in it
			found, err := f.payload(off)
			if err != nil {
				return 0, err
			}
			if bytes.Equal(found, content) {
				return off, nil
			}
		}
		off = binary.LittleEndian.Uint64(b[24:])
	}
	return 0, nil
}

// drop forgets what was read: what is read next is not older than this call.
func (f *file) drop() {
	f.cache.drop()
	clear(f.known)
}

// forget lets go of what the file remembers.
func (f *file) forget() {
	f.cache, f.scratch, f.known = blocks{}, nil, nil
	if f.zstd != nil {
		f.zstd.Close()
		f.zstd = nil
	}
}
