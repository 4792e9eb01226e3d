package frame

import (
	"strconv"
	"unicode/utf8"

	"github.com/logplug/logplug/shared/logdriver"
)

// piece is what one frame has of a message that is too long for one.
type piece struct{ params, text []byte }

// partBytes is the most that the two numbers in a part take.
const partBytes = len(` part="" parts=""`) + 2*len("4294967295")

// appendParts appends a message that is too long for one frame. Each part has the
// attributes, unless they take more than half of it: then they come before the text,
// spread over parts of their own.
func (f *Formatter) appendParts(buf []byte, ends []int, m *logdriver.Message, line []byte) ([]byte, []int) {
	start := f.appendStart(nil, m)
	room := f.cfg.MaxBytes - len(start)
	var params []byte
	var pieces []piece
	if f.cfg.Style.Structured() {
		room -= len("[] ") + len(f.cfg.SDID) + partBytes
		params = append(params, f.params...)
		for name, value := range f.own(m) {
			params = f.appendParam(params, name, value)
		}
		if len(params) > room/2 {
			pieces, params = f.spread(m, room), nil
		}
	}
	for len(line) > 0 {
		n := cut(line, room-len(params))
		pieces = append(pieces, piece{params, line[:n]})
		line = line[n:]
	}
	for i, p := range pieces {
		f.head = append(f.head[:0], start...)
		if f.cfg.Style.Structured() {
			f.head = append(f.head, '[')
			f.head = append(f.head, f.cfg.SDID...)
			f.head = append(f.head, p.params...)
			f.head = f.appendParam(f.head, "part", strconv.Itoa(i+1))
			f.head = f.appendParam(f.head, "parts", strconv.Itoa(len(pieces)))
			f.head = append(f.head, "] "...)
		}
		buf = f.appendFrame(buf, p.text)
		ends = append(ends, len(buf))
	}
	return buf, ends
}

// spread distributes the SD-PARAMs of a message to pieces with so much room. A
// value that is too long goes on under the same name in the next piece.
func (f *Formatter) spread(m *logdriver.Message, room int) []piece {
	var pieces []piece
	var b []byte
	add := func(name, value string) {
		for {
			next := f.appendParam(nil, name, value)
			if len(b)+len(next) <= room {
				b = append(b, next...)
				return
			}
			if len(b) > 0 {
				pieces, b = append(pieces, piece{params: b}), nil
				continue
			}
			n := f.fit(value, room-len(name)-len(` =""`))
			b = f.appendParam(nil, name, value[:n])
			value = value[n:]
		}
	}
	for name, value := range f.common() {
		add(name, value)
	}
	for name, value := range f.own(m) {
		add(name, value)
	}
	return append(pieces, piece{params: b})
}

// fit returns how much of value has room, escaped, without a character cut apart. It
// ends within bytes that are not UTF-8, too.
func (f *Formatter) fit(value string, room int) int {
	var b []byte
	for n := 0; n < len(value); n++ {
		b = f.appendParamByte(b[:0], value[n])
		if room -= len(b); room < 0 {
			for k := n; k > max(0, n-utf8.UTFMax); k-- {
				if utf8.RuneStart(value[k]) {
					return k
				}
			}
			return n
		}
	}
	return len(value)
}

// cut returns how much of line a part takes: most, or a little less if that
// keeps a character together.
func cut(line []byte, most int) int {
	if len(line) <= most {
		return len(line)
	}
	for n := most; n > most-utf8.UTFMax; n-- {
		if utf8.RuneStart(line[n]) {
			return n
		}
	}
	return most
}
