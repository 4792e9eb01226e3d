package logfile

import (
	"encoding/binary"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Codec is a way to compress full files.
type Codec int

// The codecs. The header of a file tells what the log itself knows of it: with gzip
// in the extra field (RFC 1952, section 2.3.1.1), with Zstandard in a skippable frame
// (RFC 8878, section 3.1.2), so that gunzip and unzstd give the records.
const (
	// Gzip makes files called ".gz".
	Gzip Codec = iota
	// Zstd makes files called ".zst", which are smaller and are read faster.
	Zstd
)

const (
	skippableMagic = 0x184d2a50
	maxExtraBytes  = 4 << 10
	zstdWindow     = 1 << 20 // what compressing and reading need in memory
)

func (c Codec) ext() string {
	if c == Zstd {
		return ".zst"
	}
	return ".gz"
}

// writer returns a writer that compresses to w, whose header tells extra.
func (c Codec) writer(w io.Writer, extra []byte) (io.WriteCloser, error) {
	if c == Zstd {
		head := binary.LittleEndian.AppendUint32(nil, skippableMagic)
		head = binary.LittleEndian.AppendUint32(head, uint32(len(extra)))
		if _, err := w.Write(append(head, extra...)); err != nil {
			return nil, err
		}
		return zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedFastest),
			zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(zstdWindow))
	}
	zw, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	zw.Extra = extra
	return zw, nil
}

// reader returns a reader of what was compressed to r. It owns nothing that has to be
// closed.
func (c Codec) reader(r io.Reader) (io.Reader, error) {
	if c == Zstd {
		return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(8<<20))
	}
	return gzip.NewReader(r)
}

// extra returns what the header tells, nil if there is no such thing.
func (c Codec) extra(r io.Reader) []byte {
	if c == Gzip {
		zr, err := gzip.NewReader(r)
		if err != nil {
			return nil
		}
		return zr.Extra
	}
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil || binary.LittleEndian.Uint32(head[:]) != skippableMagic {
		return nil
	}
	n := binary.LittleEndian.Uint32(head[4:])
	if n > maxExtraBytes {
		return nil
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil
	}
	return b
}
