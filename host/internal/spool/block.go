package spool

import (
	"errors"

	"github.com/logplug/logplug/shared/wire"
	"google.golang.org/grpc/mem"
)

// ErrFull is returned where there is no room for another block. If the disk has
// none, the error says so, too.
var ErrFull = errors.New("spool has no room")

// Store makes the blocks that queues keep their messages in. Its methods may be
// called from any goroutine.
type Store interface {
	// Alloc returns a block for messages from the sequence first on, with room
	// for need bytes or more, want if that is possible. The error is ErrFull, or
	// says what is wrong with the store.
	Alloc(stream Stream, first uint64, want, need int) (Block, error)
}

// Block is a piece of memory that belongs to one queue until Free.
type Block interface {
	// Room returns the block's memory: length 0, and a capacity that
	// appending must not exceed.
	Room() []byte
	// Check returns the seed of entries' checksums; without checked, entries
	// have none.
	Check() (seed uint32, checked bool)
	// Appended takes note that the message seq, right behind the one before, is in
	// the block.
	Appended(seq uint64)
	// Settled takes note that everything up to seq is settled.
	Settled(seq uint64)
	// Dropped takes note that the messages from first up to the block's own were
	// dropped on purpose, or never were.
	Dropped(first uint64)
	// Free gives the block back.
	Free()
}

// Lender is a Block whose memory can be sent without a copy. Where memory is a part of
// a file it cannot: what gRPC forgets to give back would be lost to the file.
type Lender interface {
	Block
	// Lend returns n bytes from off on, which stay as they are after Free until the
	// buffer is freed, too.
	Lend(off, n int) mem.Buffer
	// LendBatch returns the first n bytes, which are entries from the sequence seq on, as a
	// message for wire.WriteRequest.AttachMessage. It may be called once.
	LendBatch(logger, seq uint64, n int) (message mem.Buffer, block *wire.Block, offset int)
}

// Stream identifies a sequence space.
type Stream [16]byte

// Memory is a Store in the process's memory.
type Memory struct {
	// Shared is where large blocks are as far as there is room, for messages that are sent
	// from there; it may be nil.
	Shared *wire.WriteMemory
}

// memoryBlock counts who uses its memory, where room for the head of a batch precedes what is
// stored.
type memoryBlock struct {
	mem    []byte
	uses   mem.Buffer
	shared *wire.Block // nil if the memory is the process's own
}

// Alloc implements Store. It never fails.
func (m Memory) Alloc(_ Stream, _ uint64, want, need int) (Block, error) {
	need += wire.HeadRoom
	if want > maxChunkBytes/2 && need <= wire.BlockBytes {
		if shared := m.Shared.Block(); shared != nil {
			b := shared.Bytes()
			return &memoryBlock{b, mem.NewBuffer(&b, writeBlock{shared}), shared}, nil
		}
	}
	buf := wire.Buffers().Get(max(want, need))
	*buf = (*buf)[:cap(*buf)]
	return &memoryBlock{*buf, mem.NewBuffer(buf, wire.Buffers()), nil}, nil
}

// writeBlock is the pool that a block returns to.
type writeBlock struct{ *wire.Block }

// Get implements mem.BufferPool.
func (writeBlock) Get(n int) *[]byte { return wire.Buffers().Get(n) }

// Put implements mem.BufferPool.
func (b writeBlock) Put(*[]byte) { b.Free() }

func (b *memoryBlock) Room() []byte          { return b.mem[wire.HeadRoom:wire.HeadRoom] }
func (b *memoryBlock) Check() (uint32, bool) { return 0, false }
func (b *memoryBlock) Appended(uint64)       {}
func (b *memoryBlock) Settled(uint64)        {}
func (b *memoryBlock) Dropped(uint64)        {}
func (b *memoryBlock) Free()                 { b.uses.Free() }

// Lend implements Lender.
func (b *memoryBlock) Lend(off, n int) mem.Buffer {
	off += wire.HeadRoom
	return b.uses.Slice(off, off+n)
}

// LendBatch implements Lender.
func (b *memoryBlock) LendBatch(logger, seq uint64, n int) (message mem.Buffer, block *wire.Block, offset int) {
	offset = wire.HeadRoom - wire.BatchHead(b.mem[:wire.HeadRoom], logger, seq, n)
	return b.uses.Slice(offset, wire.HeadRoom+n), b.shared, offset
}
