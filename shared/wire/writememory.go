package wire

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"

	"google.golang.org/grpc/mem"
)

// Write memory is what a host shares with a driver beside the write socket: a large message
// lies there instead of following its length, so that no system call copies it, and what fills
// blocks is made there. A driver can read it and nothing else.
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
	// A driver gives tickets back without a response to go with when so many are due, or
	// those of so many bytes.
	owedTickets = 64
	owedBytes   = 1 << 20
)

// The host's layout: slots for blocks and small requests, for full ones, and for single lines of the
// largest size.
const (
	// BlockBytes is the size of a Block.
	BlockBytes       = 32 << 10
	blockSlots       = 256
	requestSlotBytes = 320 << 10
	requestSlots     = 16
	lineSlotBytes    = 2 << 20
	lineSlots        = 2
	slots            = blockSlots + requestSlots + lineSlots

	// WriteMemoryBytes is the size of a host's write memory. What was never used takes none.
	WriteMemoryBytes = blockSlots*BlockBytes + requestSlots*requestSlotBytes + lineSlots*lineSlotBytes

	// slotBits is how much of a ticket is the number of the slot.
	slotBits = 9
)

var slotSizes = [...]struct{ count, size int }{{blockSlots, BlockBytes}, {requestSlots, requestSlotBytes}, {lineSlots, lineSlotBytes}}

var _ [1<<slotBits - slots]slot // tickets have room for the number of every slot

// WriteMemory is the host's side of a write memory.
type WriteMemory struct {
	unmap   func([]byte) error
	cleanup runtime.Cleanup // unmaps what nobody has any more, should somebody forget to give it back

	mu     sync.Mutex
	data   []byte // nil when it is unmapped
	closed bool
	broken bool // the system has no memory for it
	slots  []slot
	free   [len(slotSizes)][]int // slots of each size: those used last, which may still be in caches, are at the end
	uses   int                   // of data: blocks that are not freed, and copying
}

// slot is room for one message, or a Block.
type slot struct {
	offset, class int
	ticket        uint32 // of the last message
	lent          bool   // the driver has not given that back
	owned         bool   // it is a block
	backed        bool   // all of it has pages
}

// place tells a driver where a message is.
type place struct {
	offset int
	ticket uint32
}

func newWriteMemory(data []byte, unmap func([]byte) error) *WriteMemory {
	m := &WriteMemory{data: data, unmap: unmap, slots: make([]slot, 0, slots)}
	offset := 0
	for class, c := range slotSizes {
		for range c.count {
			m.free[class] = append(m.free[class], len(m.slots))
			m.slots = append(m.slots, slot{offset: offset, class: class, ticket: uint32(len(m.slots))})
			offset += c.size
		}
		slices.Reverse(m.free[class])
	}
	m.cleanup = runtime.AddCleanup(m, func(data []byte) { _ = unmap(data) }, data)
	return m
}

// memory returns that of a slot.
func (m *WriteMemory) memory(s *slot) []byte {
	end := s.offset + slotSizes[s.class].size
	return m.data[s.offset:end:end]
}

// take returns a free slot of a class, or nil. It is called with m.mu.
func (m *WriteMemory) take(class int) *slot {
	n := len(m.free[class])
	if m.closed || m.broken || n == 0 {
		return nil
	}
	s := &m.slots[m.free[class][n-1]]
	m.free[class] = m.free[class][:n-1]
	return s
}

// release makes a slot free if nobody has it. It is called with m.mu.
func (m *WriteMemory) release(i int) {
	if s := &m.slots[i]; !s.lent && !s.owned {
		m.free[s.class] = append(m.free[s.class], i)
	}
}

// lend makes a ticket for what is at an offset in a slot. It is called with m.mu.
func (m *WriteMemory) lend(s *slot, offset int) place {
	s.lent = true
	s.ticket = (s.ticket + 1<<slotBits) &^ sharedFlag
	return place{s.offset + offset, s.ticket}
}

// put copies a message of so many bytes into the memory, if there is room.
func (m *WriteMemory) put(parts mem.BufferSlice, size int) (p place, ok bool) {
	s, data := m.room(size)
	if s == nil {
		return p, false
	}
	ok = fill(data, parts) // in which nobody who needs a block waits for it
	m.mu.Lock()
	defer m.mu.Unlock()
	m.uses--
	if !ok {
		m.broken = true
		_ = m.unmapUnused()
		return p, false
	}
	p = m.lend(s, 0)
	_ = m.unmapUnused()
	return p, true
}

// room returns a slot for a message of so many bytes, and its memory, in use, or nil if there is none.
func (m *WriteMemory) room(size int) (s *slot, data []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for class, c := range slotSizes {
		if size > c.size {
			continue
		}
		if s := m.take(class); s != nil {
			m.uses++
			return s, m.memory(s)
		}
	}
	return nil, nil
}

// fill copies parts to the front of dst. It returns false where the system has no memory.
func fill(dst []byte, parts mem.BufferSlice) (ok bool) {
	return guard(func() {
		for _, b := range parts {
			dst = dst[copy(dst, b.ReadOnlyData()):]
		}
	})
}

// guard returns false where the system has no memory for what f writes to.
func guard(f func()) (ok bool) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			if _, fault := r.(interface{ Addr() uintptr }); !fault {
				panic(r)
			}
			ok = false
		}
	}()
	f()
	return true
}

// giveBack takes note that the driver needs the message with a ticket no more. What is no such
// ticket means nothing.
func (m *WriteMemory) giveBack(ticket uint32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := int(ticket & (1<<slotBits - 1))
	if i < len(m.slots) && m.slots[i].ticket == ticket && m.slots[i].lent {
		m.slots[i].lent = false
		m.release(i)
	}
}

// Block is a part of a write memory in which messages are made, so that they are sent without
// a copy.
type Block struct {
	memory *WriteMemory
	index  int
	data   []byte
}

// Block returns memory of BlockBytes, or nil if there is none: also for nil.
func (m *WriteMemory) Block() *Block {
	if m == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.take(0)
	if s == nil {
		return nil
	}
	data := m.memory(s)
	if !s.backed && !guard(func() { clear(data) }) { // from now on, it can be written to
		m.broken = true
		return nil
	}
	s.backed, s.owned = true, true
	m.uses++
	return &Block{m, int(s.ticket & (1<<slotBits - 1)), data}
}

// Bytes returns the block's memory. It can be used until Free.
func (b *Block) Bytes() []byte { return b.data }

// Free gives the block back. What is lent of it stays as it is.
func (b *Block) Free() {
	m := b.memory
	m.mu.Lock()
	defer m.mu.Unlock()
	m.slots[b.index].owned = false
	m.release(b.index)
	m.uses--
	_ = m.unmapUnused()
}

// lend returns the place of what begins at an offset in the block.
func (b *Block) lend(offset int) place {
	m := b.memory
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.lend(&m.slots[b.index], offset)
}

// Close lets go of the memory, once no block of it is in use. Messages are sent without it from
// then on. It does nothing for nil.
func (m *WriteMemory) Close() error {
	if m == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	return m.unmapUnused()
}

func (m *WriteMemory) unmapUnused() error {
	if m.data == nil || !m.closed || m.uses > 0 {
		return nil
	}
	data := m.data
	m.data = nil
	m.cleanup.Stop()
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
	bytes   int      // that those are for
	told    bool     // that they are owed
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
	return v.owes()
}

func (v *SharedView) owes() bool { return len(v.tickets) >= owedTickets || v.bytes >= owedBytes }

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
	v.bytes += len(r.data)
	tell := v.owed != nil && !v.told && v.owes()
	v.told = v.told || tell
	v.mu.Unlock()
	if tell {
		v.owed()
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
	v.tickets, v.bytes, v.told = v.tickets[:0], 0, false
	return dst
}
