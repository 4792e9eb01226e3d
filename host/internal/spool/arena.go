package spool

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/bits"
	"sync"
	"time"
)

// The arena is a file that is mapped into memory and divided into pages. Page 0
// describes the file; a block is a run of pages that begins with a header and
// ends with a copy of it, should one be damaged. What is stored in mapped memory
// survives the end of the process, however it ends.
const (
	pageBytes       = 4 << 10
	headerBytes     = 64
	arenaMagic      = "logplug spool 1\n"
	blockMagic      = 0x4b424c4c // "LLBK"
	growPages       = 256        // 1 MiB
	offMagic        = 0
	offPages        = 4
	offGeneration   = 8
	offHeaderSum    = 12
	offStream       = 16
	offFirst        = 32
	offSettled      = 40
	offLast         = 48 // in the header only
	offDropped      = 56
	offArenaSecret  = 16
	maxArenaBytes   = 1 << 40
	generationSteps = 0x9E3779B1 // spreads generations over the seeds
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// medium is what an arena lies on.
type medium interface {
	// Bytes returns the memory, of a fixed size that is a multiple of pageBytes.
	Bytes() []byte
	// Grow makes sure that the first n bytes can be written to. The first used ones
	// could before, and are written to meanwhile.
	Grow(used, n int) error
	// Sync makes everything durable that was written before.
	Sync() error
	// Close releases the memory.
	Close() error
}

// Arena is a Store whose blocks outlive the process. Its methods may be called
// from any goroutine.
type Arena struct {
	medium medium
	mem    []byte
	secret uint32

	mu         sync.Mutex
	used       []uint64 // a bit a page
	grown      int      // pages that can be written to
	next       int      // where the search for free pages begins
	generation uint32
	cause      error     // set if the disk was full
	asked      time.Time // when it was
}

// openArena opens what lies on m, or begins anew if that is empty. recovered
// has what earlier processes left.
func openArena(m medium) (a *Arena, recovered []Run, err error) {
	mem := m.Bytes()
	if len(mem) < 2*pageBytes || len(mem)%pageBytes != 0 {
		return nil, nil, fmt.Errorf("spool file of %d bytes: need whole pages of %d bytes, at least 2", len(mem), pageBytes)
	}
	a = &Arena{medium: m, mem: mem, used: make([]uint64, (len(mem)/pageBytes+63)/64), next: 1}
	var random [8]byte
	rand.Read(random[:]) // never fails
	a.generation = binary.LittleEndian.Uint32(random[4:])
	a.take(0, 1)
	if string(mem[:len(arenaMagic)]) == arenaMagic {
		a.secret = binary.LittleEndian.Uint32(mem[offArenaSecret:])
		return a, a.recover(), nil
	}
	for _, b := range mem[:headerBytes] {
		if b != 0 {
			return nil, nil, errors.New("not a spool file, or one of a newer version; move it away to begin anew")
		}
	}
	if err := a.growTo(1); err != nil {
		return nil, nil, err
	}
	a.secret = binary.LittleEndian.Uint32(random[:4])
	binary.LittleEndian.PutUint32(mem[offArenaSecret:], a.secret)
	copy(mem, arenaMagic)
	return a, nil, nil
}

// Alloc implements Store.
func (a *Arena) Alloc(stream Stream, first uint64, want, need int) (Block, error) {
	least := pagesFor(need + 2*headerBytes)
	best := max(least, pagesFor(want))
	a.mu.Lock()
	defer a.mu.Unlock()
	page, n, err := a.find(least, best)
	if err != nil {
		return nil, err
	}
	a.take(page, n)
	a.generation++
	b := &arenaBlock{arena: a, page: page, pages: n}
	b.init(stream, first, a.generation)
	return b, nil
}

func pagesFor(n int) int { return (n + pageBytes - 1) / pageBytes }

// find returns a run of best free pages, or of least if there is no other. An error
// that is not ErrFull alone says why the file cannot grow.
func (a *Arena) find(least, best int) (page, n int, err error) {
	err = ErrFull
	for _, n := range []int{best, least} {
		if page, ok := a.search(a.next, a.grown, n); ok {
			return page, n, nil
		}
		if page, ok := a.search(1, min(a.next+n, a.grown), n); ok {
			return page, n, nil
		}
		before := a.grown
		if err = a.growBy(n); err != nil {
			continue
		}
		if page, ok := a.search(max(1, before-n), a.grown, n); ok {
			return page, n, nil
		}
		err = ErrFull
	}
	return 0, 0, err
}

// search looks for n free pages in a row between from and to.
func (a *Arena) search(from, to, n int) (page int, ok bool) {
	free := 0
	for p := from; p < to; p++ {
		word := a.used[p/64] >> (p % 64)
		if word&1 != 0 {
			free = 0
			if skip := bits.TrailingZeros64(^word); skip > 1 {
				p += min(skip, 64-p%64) - 1
			}
			continue
		}
		if free++; free == n {
			return p - n + 1, true
		}
	}
	return 0, false
}

// growBy grows by n pages or, where that is possible, by many. While the disk is full,
// it does not ask again each time.
func (a *Arena) growBy(n int) error {
	if a.cause != nil && time.Since(a.asked) < RetryPause {
		return a.cause
	}
	a.cause = nil
	err := a.growTo(a.grown + max(n, growPages))
	if n < growPages && diskFull(err) {
		err = a.growTo(a.grown + n)
	}
	if diskFull(err) {
		err = fmt.Errorf("%w on its disk: %w", ErrFull, err)
		a.cause, a.asked = err, time.Now()
	}
	return err
}

// RetryPause is how long a store whose disk is full takes it to be full.
const RetryPause = 100 * time.Millisecond

func (a *Arena) growTo(pages int) error {
	pages = min(pages, len(a.mem)/pageBytes)
	if pages <= a.grown {
		return ErrFull
	}
	if err := a.medium.Grow(a.grown*pageBytes, pages*pageBytes); err != nil {
		return err
	}
	a.grown = pages
	return nil
}

func (a *Arena) take(page, n int) {
	for p := page; p < page+n; p++ {
		a.used[p/64] |= 1 << (p % 64)
	}
	a.next = page + n
}

func (a *Arena) release(page, n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for p := page; p < page+n; p++ {
		a.used[p/64] &^= 1 << (p % 64)
	}
	a.next = min(a.next, page)
}

// Sync makes everything durable that was appended before.
func (a *Arena) Sync() error { return a.medium.Sync() }

// Close releases the memory. No block may be used afterwards.
func (a *Arena) Close() error { return a.medium.Close() }

// arenaBlock is a run of pages.
type arenaBlock struct {
	arena       *Arena
	page, pages int
	seed        uint32
}

func (b *arenaBlock) memory() []byte {
	start, end := b.page*pageBytes, (b.page+b.pages)*pageBytes
	return b.arena.mem[start:end:end]
}

// init writes the header and its copy. Either counts once its checksum is right.
func (b *arenaBlock) init(stream Stream, first uint64, generation uint32) {
	b.seed = b.arena.seed(generation)
	for _, h := range b.headers() {
		clear(h)
		le := binary.LittleEndian
		le.PutUint32(h[offPages:], uint32(b.pages))
		le.PutUint32(h[offGeneration:], generation)
		copy(h[offStream:], stream[:])
		le.PutUint64(h[offFirst:], first)
		b.putSeq(h[offSettled:], first-1)
		b.putSeq(h[offLast:], first-1)
		b.putSeq(h[offDropped:], first)
		le.PutUint32(h[offMagic:], blockMagic)
		le.PutUint32(h[offHeaderSum:], b.arena.headerSum(h))
	}
}

// headers returns the header and its copy.
func (b *arenaBlock) headers() [2][]byte {
	mem := b.memory()
	return [2][]byte{mem[:headerBytes], mem[len(mem)-headerBytes:]}
}

// A sequence that changes is stored in one word, with a check in the upper bits
// that the lower ones do not need.
const (
	seqBits = 48
	seqMask = 1<<seqBits - 1
	seqStep = 0x9E3779B97F4A7C15 // changes the check with every bit
)

// MaxSkip bounds what Queue.Skip takes: sequences have seqBits, and as many as are
// skipped are left for messages.
const MaxSkip = 1 << (seqBits - 1)

func (b *arenaBlock) putSeq(word []byte, seq uint64) {
	binary.LittleEndian.PutUint64(word, seq&seqMask|b.seqCheck(seq)<<seqBits)
}

// getSeq returns false if the word is damaged.
func (b *arenaBlock) getSeq(word []byte) (seq uint64, ok bool) {
	w := binary.LittleEndian.Uint64(word)
	seq = w & seqMask
	return seq, w>>seqBits == b.seqCheck(seq)
}

func (b *arenaBlock) seqCheck(seq uint64) uint64 {
	return (seq&seqMask + uint64(b.seed)) * seqStep >> seqBits
}

// seed starts the checksums of a block's entries: what earlier blocks left in
// the same pages does not pass for its entries.
func (a *Arena) seed(generation uint32) uint32 { return a.secret ^ generation*generationSteps }

// headerSum covers what is fixed in a header. It starts with the arena's secret, so that a
// line of a log cannot pass for a header.
func (a *Arena) headerSum(h []byte) uint32 {
	sum := crc32.Update(^a.secret, castagnoli, h[:offHeaderSum])
	return crc32.Update(sum, castagnoli, h[offStream:offSettled])
}

// Room implements Block.
func (b *arenaBlock) Room() []byte {
	mem := b.memory()
	return mem[headerBytes : headerBytes : len(mem)-headerBytes]
}

// Check implements Block.
func (b *arenaBlock) Check() (uint32, bool) { return b.seed, true }

// Appended implements Block.
func (b *arenaBlock) Appended(seq uint64) { b.putSeq(b.memory()[offLast:], seq) }

// Settled implements Block.
func (b *arenaBlock) Settled(seq uint64) {
	for _, h := range b.headers() {
		b.putSeq(h[offSettled:], seq)
	}
}

// Dropped implements Block.
func (b *arenaBlock) Dropped(first uint64) {
	for _, h := range b.headers() {
		b.putSeq(h[offDropped:], first)
	}
}

// dropped returns how many messages right before the block's first one were
// dropped, as far as that can be told.
func (b *arenaBlock) dropped(first uint64) uint64 {
	for _, h := range b.headers() {
		if s, ok := b.getSeq(h[offDropped:]); ok && s < first {
			return first - s
		}
	}
	return 0
}

// settled returns up to where all is settled, as far as that can be told.
func (b *arenaBlock) settled() (seq uint64) {
	for _, h := range b.headers() {
		if s, ok := b.getSeq(h[offSettled:]); ok {
			seq = max(seq, s)
		}
	}
	return seq
}

// Free implements Block.
func (b *arenaBlock) Free() {
	b.Settled(seqMask) // one header outlives the other for a moment
	for _, h := range b.headers() {
		clear(h[:offStream])
	}
	b.arena.release(b.page, b.pages)
}
