package wire

import (
	"encoding/binary"
	"fmt"
	"runtime/debug"
	"sync"

	"google.golang.org/grpc/mem"
)

// Write memory is what a host shares with a driver beside the write socket: a large message
// lies there instead of following its length, so that no system call copies it. A driver can
// read it and nothing else.
const (
	// EnvWriteMemory has the number of its descriptor in decimal.
	EnvWriteMemory = "LOGPLUG_WRITE_MEMORY"
	// WriteMemoryGreeting is WriteSocketGreeting of a driver that has mapped it.
	WriteMemoryGreeting = "LPWRITE2"
)

const (
	// sharedFlag in a length tells a driver that the message is in the write memory, and
	// the host that there is no message: the rest is the ticket of one that the driver
	// needs no more.
	sharedFlag = 1 << 31
	// placeBytes is the size of what tells where: the offset of the message, and its ticket.
	placeBytes = 8
	// minSharedBytes is the size from which messages are put into the memory.
	minSharedBytes = 4 << 10
	// maxSharedBytes is the most that a driver maps.
	maxSharedBytes = 256 << 20
	// owedTickets is how many tickets a driver gives back without a response to go with.
	owedTickets = 4
)

// The host's layout: slots for requests, then those for single lines of the largest size. The
// first that is free is used, so that few stay in use and in the processors' caches.
const (
	requestSlots     = 16
	requestSlotBytes = 320 << 10
	lineSlots        = 2
	lineSlotBytes    = 2 << 20
	// slotBits is how much of a ticket is the number of the slot.
	slotBits = 5

	// WriteMemoryBytes is the size of a host's write memory. What was never used takes none.
	WriteMemoryBytes = requestSlots*requestSlotBytes + lineSlots*lineSlotBytes
)

var _ [1<<slotBits - requestSlots - lineSlots]slot // tickets have room for the number of every slot

// WriteMemory is the host's side of a write memory.
type WriteMemory struct {
	unmap func([]byte) error

	mu     sync.Mutex
	data   []byte // nil when it is closed
	broken bool   // the system has no memory for it
	slots  [requestSlots + lineSlots]slot
}

// slot is room for one message.
type slot struct {
	offset, size int
	ticket       uint32 // of the last message
	taken        bool   // the driver has not given that back
}

// place tells a driver where a message is.
type place struct {
	offset int
	ticket uint32
}

func newWriteMemory(data []byte, unmap func([]byte) error) *WriteMemory {
	m := &WriteMemory{data: data, unmap: unmap}
	offset := 0
	for i := range m.slots {
		size := requestSlotBytes
		if i >= requestSlots {
			size = lineSlotBytes
		}
		m.slots[i] = slot{offset: offset, size: size, ticket: uint32(i)}
		offset += size
	}
	return m
}

// put copies a message of so many bytes into the memory, if there is room.
func (m *WriteMemory) put(parts mem.BufferSlice, size int) (p place, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.data == nil || m.broken {
		return p, false
	}
	for i := range m.slots {
		s := &m.slots[i]
		if s.taken || size > s.size {
			continue
		}
		if !fill(m.data[s.offset:s.offset+s.size], parts) {
			m.broken = true
			return p, false
		}
		s.taken = true
		s.ticket = (s.ticket + 1<<slotBits) &^ sharedFlag
		return place{s.offset, s.ticket}, true
	}
	return p, false
}

// fill copies parts to the front of dst. It returns false where the system has no memory.
func fill(dst []byte, parts mem.BufferSlice) (ok bool) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			if _, fault := r.(interface{ Addr() uintptr }); !fault {
				panic(r)
			}
			ok = false
		}
	}()
	for _, b := range parts {
		dst = dst[copy(dst, b.ReadOnlyData()):]
	}
	return true
}

// giveBack takes note that the driver needs the message with a ticket no more. What is no such
// ticket means nothing.
func (m *WriteMemory) giveBack(ticket uint32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if i := int(ticket & (1<<slotBits - 1)); i < len(m.slots) && m.slots[i].ticket == ticket {
		m.slots[i].taken = false
	}
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

func (p place) appendTo(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(p.offset))
	return binary.BigEndian.AppendUint32(dst, p.ticket)
}

// SharedView is a driver's side of a write memory. It is never unmapped: messages
// in it may be in use until the process ends. The methods of nil are those of a driver
// that has none.
type SharedView struct {
	data []byte

	mu      sync.Mutex
	tickets []uint32 // to give back
	owed    func()   // called when they are to be given back soon
}

// OnOwed makes f be called when tickets are to be given back although there may be no
// response to go with.
func (v *SharedView) OnOwed(f func()) {
	if v == nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.owed = f
}

// Owes tells whether tickets are to be given back although there may be no response to go
// with.
func (v *SharedView) Owes() bool {
	if v == nil {
		return false
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.tickets) >= owedTickets
}

// message returns the message of so many bytes at a place of which the host tells. To free
// it gives its ticket back, with the next response.
func (v *SharedView) message(at [placeBytes]byte, size int) (mem.Buffer, error) {
	offset := uint64(binary.BigEndian.Uint32(at[:]))
	if offset+uint64(size) > uint64(len(v.data)) {
		return nil, fmt.Errorf("a message of %d bytes at %d in a write memory of %d", size, offset, len(v.data))
	}
	r := &sharedMessage{view: v, data: v.data[offset:][:size:size], ticket: binary.BigEndian.Uint32(at[4:])}
	if mem.IsBelowBufferPoolingThreshold(size) {
		defer r.Put(nil)
		return mem.SliceBuffer(append([]byte(nil), r.data...)), nil
	}
	return mem.NewBuffer(&r.data, r), nil
}

// sharedMessage is a message in a write memory, and the pool that it returns to.
type sharedMessage struct {
	view   *SharedView
	data   []byte
	ticket uint32
}

// Get implements mem.BufferPool.
func (r *sharedMessage) Get(n int) *[]byte { return buffers.Get(n) }

// Put implements mem.BufferPool.
func (r *sharedMessage) Put(*[]byte) {
	v := r.view
	v.mu.Lock()
	v.tickets = append(v.tickets, r.ticket)
	owed := v.owed
	if len(v.tickets) != owedTickets {
		owed = nil
	}
	v.mu.Unlock()
	if owed != nil {
		owed()
	}
}

// appendTickets appends the tickets that are to be given back, as lengths, to dst.
func (v *SharedView) appendTickets(dst []byte) []byte {
	if v == nil {
		return dst
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, t := range v.tickets {
		dst = binary.BigEndian.AppendUint32(dst, t|sharedFlag)
	}
	v.tickets = v.tickets[:0]
	return dst
}
