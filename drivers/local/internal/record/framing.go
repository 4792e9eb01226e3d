package record

import "bytes"

// Framing implements logfile.Framing: a frame ends with the byte end, or
// before the byte start.
type Framing struct{}

// Next implements logfile.Framing.
func (Framing) Next(b []byte) int {
	n := bytes.IndexByte(b, end) + 1
	inside := b
	if n > 0 {
		inside = b[:n]
	}
	if len(inside) > 1 {
		if i := bytes.IndexByte(inside[1:], start); i >= 0 {
			return i + 1
		}
	}
	return n
}

// Last implements logfile.Framing.
func (Framing) Last(b []byte) int {
	if len(b) == 0 {
		return -1
	}
	begins := bytes.LastIndexByte(b, start)
	if i := bytes.LastIndexByte(b[:len(b)-1], end); i >= 0 {
		return max(i+1, begins)
	}
	return begins
}

// Resync implements logfile.Framing.
func (Framing) Resync(b []byte) int {
	i := bytes.IndexByte(b, start)
	if n := bytes.IndexByte(b, end); n >= 0 && (i < 0 || n < i) {
		return n + 1
	}
	return i
}

// Blank implements logfile.Framing.
func (Framing) Blank(frame []byte) bool { return len(frame) == 1 && frame[0] == end }

var separator = []byte{end}

// Separator implements logfile.Framing.
func (Framing) Separator() []byte { return separator }

func special(b byte) bool { return b == end || b == start || b == escape }

// stuff replaces the bytes in dst[from:] that would be taken for others. Few records
// have any.
func stuff(dst []byte, from int) []byte {
	b := dst[from:]
	if bytes.IndexByte(b, end) < 0 && bytes.IndexByte(b, start) < 0 && bytes.IndexByte(b, escape) < 0 {
		return dst
	}
	n := 0
	for _, c := range b {
		if special(c) {
			n++
		}
	}
	r := len(dst) - 1
	dst = append(dst, make([]byte, n)...)
	for w := len(dst) - 1; w > r; r-- {
		c := dst[r]
		if special(c) {
			dst[w] = c ^ flip
			w--
			c = escape
		}
		dst[w] = c
		w--
	}
	return dst
}

// unstuff returns what was stuffed, which is b itself or in buf. Whether b is as
// stuff makes it is for the checksum to tell.
func unstuff(buf, b []byte) (plain, grown []byte) {
	i := bytes.IndexByte(b, escape)
	if i < 0 {
		return b, buf
	}
	buf = buf[:0]
	for ; i >= 0; i = bytes.IndexByte(b, escape) {
		buf = append(buf, b[:i]...)
		if b = b[i+1:]; len(b) == 0 {
			return buf, buf // cut
		}
		buf = append(buf, b[0]^flip)
		b = b[1:]
	}
	buf = append(buf, b...)
	return buf, buf
}
