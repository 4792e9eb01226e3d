package docker

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// position says how far a journal was logged.
type position struct {
	stream string // of the logger, 32 hexadecimal digits; empty if nothing was logged
	seq    uint64 // the number in it of the message that was logged last
	offset int64  // in the journal, of the frame to log next
	part   int    // how many parts of that frame's line are logged already
	gap    bool   // the host dropped what came last: the next number is of a message that says so
}

// A slot in the file is a position in words, with a version in front and behind: it
// is valid where both are the same.
const (
	slotWords     = 8
	slotVersion   = 0
	slotStream    = 1 // two words
	slotSeq       = 3
	slotOffset    = 4
	slotPart      = 5
	slotGap       = 6
	slotEnd       = 7
	positionBytes = 4 << 10
)

// positionFile keeps a position in mapped memory, where it survives the end of the
// process. Its two slots are written in turn, so that one is always whole.
type positionFile struct {
	mem     []byte
	words   []uint64
	version uint64
	stream  string    // as encoded in words
	encoded [2]uint64 // of stream
}

func openPosition(path string) (p *positionFile, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	// Memory whose room on the disk is not certain must not be written to.
	if err := unix.Fallocate(int(f.Fd()), 0, 0, positionBytes); err != nil {
		return nil, fmt.Errorf("take %d bytes for %s: %w", positionBytes, path, err)
	}
	mem, err := unix.Mmap(int(f.Fd()), 0, positionBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", path, err)
	}
	return &positionFile{mem: mem, words: unsafe.Slice((*uint64)(unsafe.Pointer(&mem[0])), positionBytes/8)}, nil
}

func (p *positionFile) close() error {
	if p.mem == nil {
		return nil
	}
	mem := p.mem
	p.mem, p.words = nil, nil
	return unix.Munmap(mem)
}

func (p *positionFile) slot(version uint64) []uint64 {
	return p.words[version%2*slotWords:][:slotWords]
}

// load returns the newest position, the zero value if there is none.
func (p *positionFile) load() position {
	var at position
	for i := range uint64(2) {
		s := p.slot(i)
		v := s[slotVersion]
		if v == 0 || v != s[slotEnd] || v%2 != i || v < p.version {
			continue
		}
		p.version = v
		at = position{seq: s[slotSeq], offset: int64(s[slotOffset]), part: int(s[slotPart]), gap: s[slotGap] != 0}
		if s[slotStream]|s[slotStream+1] != 0 {
			var raw [16]byte
			binary.BigEndian.PutUint64(raw[:8], s[slotStream])
			binary.BigEndian.PutUint64(raw[8:], s[slotStream+1])
			at.stream = hex.EncodeToString(raw[:])
		}
	}
	return at
}

// store makes at the position.
func (p *positionFile) store(at position) {
	if at.stream != p.stream {
		p.stream, p.encoded = at.stream, encodeStream(at.stream)
	}
	p.version++
	s := p.slot(p.version)
	// Atomic stores keep their order.
	atomic.StoreUint64(&s[slotVersion], 0)
	s[slotStream], s[slotStream+1] = p.encoded[0], p.encoded[1]
	s[slotSeq], s[slotOffset], s[slotPart] = at.seq, uint64(at.offset), uint64(at.part)
	s[slotGap] = 0
	if at.gap {
		s[slotGap] = 1
	}
	atomic.StoreUint64(&s[slotEnd], p.version)
	atomic.StoreUint64(&s[slotVersion], p.version)
}

func encodeStream(stream string) (words [2]uint64) {
	raw, err := hex.DecodeString(stream)
	if err != nil || len(raw) != 16 {
		return words
	}
	return [2]uint64{binary.BigEndian.Uint64(raw), binary.BigEndian.Uint64(raw[8:])}
}
