package journal

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// MaxDataBytes bounds one field of an entry, its name included, as stored and as
// decompressed. It is far above what a message can have.
const MaxDataBytes = 64 << 20

// Flags of a data object: how its payload is compressed.
const (
	compressedXZ   = 1 << 0
	compressedLZ4  = 1 << 1
	compressedZstd = 1 << 2

	compressedMask = compressedXZ | compressedLZ4 | compressedZstd
)

var errCompression = errors.New("damaged compressed data")

// decompress returns the content of a data object with one of the compression flags.
func (f *file) decompress(flags byte, b []byte) ([]byte, error) {
	switch flags & compressedMask {
	case compressedZstd:
		if f.zstd == nil {
			d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(MaxDataBytes))
			if err != nil {
				return nil, err
			}
			f.zstd = d
		}
		out, err := f.zstd.DecodeAll(b, nil)
		if err != nil {
			return nil, fmt.Errorf("%w: zstd: %w", errCompression, err)
		}
		return out, nil
	case compressedLZ4:
		if len(b) < 8 {
			return nil, fmt.Errorf("%w: LZ4: too short", errCompression)
		}
		size := binary.LittleEndian.Uint64(b)
		// A byte of LZ4 stands for 255 bytes at most.
		if size > MaxDataBytes || size > 255*uint64(len(b)) {
			return nil, fmt.Errorf("%w: LZ4: claims %d bytes", errCompression, size)
		}
		return lz4Block(b[8:], int(size))
	}
	return nil, errors.New("data compressed with XZ, which this reader does not understand")
}

// lz4Block decompresses a block of the LZ4 block format into size bytes.
func lz4Block(src []byte, size int) ([]byte, error) {
	bad := fmt.Errorf("%w: LZ4 block", errCompression)
	dst := make([]byte, 0, size)
	for len(src) > 0 {
		token := src[0]
		src = src[1:]
		var n int
		var ok bool
		if n, src, ok = lz4Length(int(token>>4), src); !ok || n > len(src) || n > size-len(dst) {
			return nil, bad
		}
		dst, src = append(dst, src[:n]...), src[n:]
		if len(src) == 0 {
			break // the last sequence has literals alone
		}
		if len(src) < 2 {
			return nil, bad
		}
		distance := int(binary.LittleEndian.Uint16(src))
		if n, src, ok = lz4Length(int(token&15), src[2:]); !ok {
			return nil, bad
		}
		n += 4
		if distance == 0 || distance > len(dst) || n > size-len(dst) {
			return nil, bad
		}
		for i := len(dst) - distance; n > 0; i, n = i+1, n-1 { // may overlap
			dst = append(dst, dst[i])
		}
	}
	if len(dst) != size {
		return nil, bad
	}
	return dst, nil
}

// lz4Length reads the bytes that continue a length of 15.
func lz4Length(n int, src []byte) (int, []byte, bool) {
	if n < 15 {
		return n, src, true
	}
	for i, b := range src {
		n += int(b)
		if n > MaxDataBytes {
			break
		}
		if b != 255 {
			return n, src[i+1:], true
		}
	}
	return 0, nil, false
}
