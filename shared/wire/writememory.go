package wire

import (
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"unsafe"

	"google.golang.org/grpc/mem"
)

// Write memory is what a host shares with a driver beside the write socket: a large message
// lies there instead of following its length, so that no system call copies it.
const (
	// EnvWriteMemory has the number of its descriptor in decimal.
	EnvWriteMemory = "LOGPLUG_WRITE_MEMORY"
	// WriteMemoryGreeting is WriteSocketGreeting of a driver that has mapped it.
	WriteMemoryGreeting = "LPWRITE2"
)

const (
	// sharedFlag in a length tells that the message is in the write memory.
	sharedFlag = 1 << 31
	// placeBytes is the size of what tells where: the offset of the message, that of a word
	// in the memory, and the number to store there when the message is not needed any more.
	placeBytes = 12
	// minSharedBytes is the size from which messages are put into the memory.
	minSharedBytes = 4 << 10
)

// The host's layout: a page with a word a slot, which only the driver writes, in cache lines of
// their own, and the slots. Those for requests with many messages come first, and of them
// the first that is free is used, so that few stay in use and in the processors' caches.
const (
	wordsBytes = 4 << 10
	wordStride = 64

	requestSlots     = 16
	requestSlotBytes = 320 << 10
	lineSlots        = 2 // for single lines of the largest size
	lineSlotBytes    = 2 << 20

	// WriteMemoryBytes is the size of a host's write memory. What was never used takes none.
	WriteMemoryBytes = wordsBytes + requestSlots*requestSlotBytes + lineSlots*lineSlotBytes

	// maxSharedBytes is the most that a driver maps.
	maxSharedBytes = 256 << 20
)

// WriteMemory is the host's side of a write memory.
type WriteMemory struct {
	unmap func([]byte) error

	mu    sync.Mutex
	data  []byte // nil when it is closed
	slots [requestSlots + lineSlots]slot
}

// slot is room for one message. It is free when the driver has stored ticket in its word.
type slot struct {
	offset, size int
	ticket       uint32
}

// place tells a driver where a message is.
type place struct {
	offset, word int
	ticket       uint32
}

func newWriteMemory(data []byte, unmap func([]byte) error) *WriteMemory {
	m := &WriteMemory{data: data, unmap: unmap}
	offset := wordsBytes
	for i := range m.slots {
		size := requestSlotBytes
		if i >= requestSlots {
			size = lineSlotBytes
		}
		m.slots[i] = slot{offset: offset, size: size}
		offset += size
	}
	return m
}

// put copies a message of so many bytes into the memory, if there is room.
func (m *WriteMemory) put(parts mem.BufferSlice, size int) (p place, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.data == nil {
		return p, false
	}
	for i := range m.slots {
		s := &m.slots[i]
		word := i * wordStride
		if size > s.size || word32(m.data, word).Load() != s.ticket {
			continue
		}
		s.ticket++
		to := m.data[s.offset : s.offset+s.size]
		for _, b := range parts {
			to = to[copy(to, b.ReadOnlyData()):]
		}
		return place{offset: s.offset, word: word, ticket: s.ticket}, true
	}
	return p, false
}

// Close lets go of the memory. Messages are sent without it from then on. It does nothing for
// nil.
func (m *WriteMemory) Close() error {
	if m == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.data == nil {
		return nil
	}
	data := m.data
	m.data = nil
	return m.unmap(data)
}

// word32 returns the word at an offset that is a multiple of 4.
func word32(data []byte, offset int) *atomic.Uint32 {
	return (*atomic.Uint32)(unsafe.Pointer(&data[offset : offset+4][0]))
}

func (p place) appendTo(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(p.offset))
	dst = binary.BigEndian.AppendUint32(dst, uint32(p.word))
	return binary.BigEndian.AppendUint32(dst, p.ticket)
}

// SharedView is a driver's side of a write memory. It is never unmapped: messages
// in it may be in use until the process ends.
type SharedView struct{ data []byte }

// message returns the message of so many bytes at a place of which the host tells. To free
// it lets the host use the place again.
func (v *SharedView) message(at [placeBytes]byte, size int) (mem.Buffer, error) {
	offset := uint64(binary.BigEndian.Uint32(at[:]))
	word := uint64(binary.BigEndian.Uint32(at[4:]))
	all := uint64(len(v.data))
	if offset+uint64(size) > all || word+4 > all || word%4 != 0 {
		return nil, fmt.Errorf("a message of %d bytes at %d, with a word at %d, in a write memory of %d", size, offset, word, all)
	}
	r := &sharedMessage{word: word32(v.data, int(word)), ticket: binary.BigEndian.Uint32(at[8:])}
	r.data = v.data[offset:][:size:size]
	if mem.IsBelowBufferPoolingThreshold(size) {
		defer r.Put(nil)
		return mem.SliceBuffer(append([]byte(nil), r.data...)), nil
	}
	return mem.NewBuffer(&r.data, r), nil
}

// sharedMessage is a message in a write memory, and the pool that it returns to.
type sharedMessage struct {
	data   []byte
	word   *atomic.Uint32
	ticket uint32
}

// Get implements mem.BufferPool.
func (r *sharedMessage) Get(n int) *[]byte { return buffers.Get(n) }

// Put implements mem.BufferPool.
func (r *sharedMessage) Put(*[]byte) { r.word.Store(r.ticket) }
