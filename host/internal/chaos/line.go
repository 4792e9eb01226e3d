//go:build linux

package main

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"strconv"
)

// A line of the storm says who wrote it, in which life of the host, and the
// how manyth of its writer it is; a checksum covers that and the filler:
//
//	<chaos WRITER LIFE NUMBER FILLER CHECKSUM>
const (
	lineStart = "<chaos "
	lineEnd   = '>'
	sumDigits = 8
)

// line is what a line says.
type line struct {
	writer int
	life   int    // of the host
	number uint64 // counted from 0 by the writer, through all lives
}

// appendLine appends the text of l with filler bytes of filler.
func appendLine(b []byte, l line, filler int) []byte {
	start := len(b)
	b = fmt.Appendf(b, "%s%d %d %d ", lineStart, l.writer, l.life, l.number)
	for i := range filler {
		b = append(b, 'a'+byte((l.number+uint64(i))%26))
	}
	return fmt.Appendf(b, " %0*x%c", sumDigits, crc32.ChecksumIEEE(b[start:]), lineEnd)
}

// findLine returns the first intact line in b and what is behind it. What stands
// before it is the torn end of a write, or a driver's own prefix.
func findLine(b []byte) (l line, rest []byte, ok bool) {
	for {
		start := bytes.Index(b, []byte(lineStart))
		if start < 0 {
			return line{}, nil, false
		}
		b = b[start:]
		end := bytes.IndexByte(b, lineEnd)
		if end < 0 {
			return line{}, nil, false
		}
		// A torn line in front of an intact one swallows the latter's start.
		if again := bytes.LastIndex(b[:end], []byte(lineStart)); again > 0 {
			b, end = b[again:], end-again
		}
		if l, ok := parseLine(b[:end]); ok {
			return l, b[end+1:], true
		}
		b = b[end+1:]
	}
}

// parseLine reads the text of a line without its end.
func parseLine(b []byte) (l line, ok bool) {
	cut := len(b) - sumDigits
	if cut < 1 {
		return l, false
	}
	sum, err := strconv.ParseUint(string(b[cut:]), 16, 32)
	if err != nil || crc32.ChecksumIEEE(b[:cut-1]) != uint32(sum) {
		return l, false
	}
	fields := bytes.SplitN(b[len(lineStart):], []byte(" "), 4)
	if len(fields) != 4 {
		return l, false
	}
	writer, err1 := strconv.Atoi(string(fields[0]))
	life, err2 := strconv.Atoi(string(fields[1]))
	number, err3 := strconv.ParseUint(string(fields[2]), 10, 64)
	return line{writer, life, number}, err1 == nil && err2 == nil && err3 == nil
}
