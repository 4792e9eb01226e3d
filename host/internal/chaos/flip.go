//go:build linux

package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
)

// What a spool's file looks like, as far as it takes to damage what matters. The
// first page says what the file is; a host refuses the file if that is damaged.
const (
	spoolPage   = 4 << 10
	blockMagic  = "LLBK"
	blockHeader = 64
	pagesAt     = 4 // where a block's header has its length in pages
	maxFlips    = 3
)

// flipBits inverts up to maxFlips bits in blocks of the spool file at path. It
// returns how many, and says where.
func flipBits(path string, rnd *rand.Rand) (flips int, where string, err error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return 0, "", err
	}
	defer f.Close()
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, "", err
	}
	blocks := usedBlocks(data)
	if len(blocks) == 0 {
		return 0, "no messages there", nil
	}
	for range 1 + rnd.IntN(maxFlips) {
		b := blocks[rnd.IntN(len(blocks))]
		at, bit := b[0]+flipAt(rnd, b[1]-b[0]), rnd.IntN(8)
		data[at] ^= 1 << bit
		if _, err := f.WriteAt(data[at:at+1], int64(at)); err != nil {
			return flips, where, err
		}
		flips++
		where += fmt.Sprintf(" bit %d at %d (%d of its block of %d)", bit, at, at-b[0], b[1]-b[0])
	}
	return flips, where, nil
}

// flipAt returns an offset in a block: anywhere, in its header, or near its end.
func flipAt(rnd *rand.Rand, size int) int {
	switch rnd.IntN(4) {
	case 0:
		return rnd.IntN(min(size, blockHeader))
	case 1:
		return max(0, size-1-rnd.IntN(100))
	default:
		return rnd.IntN(size)
	}
}

// usedBlocks returns the offsets between which there are blocks, without the
// zeros at their ends.
func usedBlocks(data []byte) (blocks [][2]int) {
	for at := spoolPage; at+spoolPage <= len(data); {
		if !bytes.HasPrefix(data[at:], []byte(blockMagic)) {
			at += spoolPage
			continue
		}
		pages := int(binary.LittleEndian.Uint32(data[at+pagesAt:]))
		end := at + pages*spoolPage
		if pages == 0 || end > len(data) {
			at += spoolPage
			continue
		}
		used := at + len(bytes.TrimRight(data[at:end], "\x00"))
		blocks = append(blocks, [2]int{at, used})
		at = end
	}
	return blocks
}
