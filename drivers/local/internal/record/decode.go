package record

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"math"
	"time"

	"github.com/logplug/logplug/sdk/logfile"
	"github.com/logplug/logplug/shared/logdriver"
)

const (
	maxAttrText = 4 << 10
	// maxAttrs bounds what a record can make a reader allocate; writers add
	// the attributes of a log to the logdriver.MaxAttrs of a message.
	maxAttrs = 1 << 16
)

// decoder keeps what records have in common, so that decoding does not allocate.
type decoder struct {
	buf []byte

	context []logdriver.Attr
	tag     byte
	known   bool // there was a context

	sources  logfile.Sources
	attrText []byte // that attrs were decoded from
	attrs    []logdriver.Attr
}

// Decode implements logfile.Decoder. Where the context of a message was lost, the
// message has its own attributes only.
func (d *decoder) Decode(frame []byte, m *logdriver.Message) error {
	kind, c, sum, err := d.open(frame)
	if err != nil {
		return err
	}
	if kind&otherKinds != 0 {
		if kind != kindOfContext {
			return logfile.ErrNoMessage
		}
		attrs, ok := appendAttrs(nil, c.b)
		if !ok {
			return errField
		}
		d.context, d.tag, d.known = attrs, tagOf(sum), true
		return logfile.ErrNoMessage
	}
	d.fields(kind, &c, m)
	if c.bad {
		return errField
	}
	m.Line = append(m.Line[:0], c.b...)
	if !m.Partial.More() && !m.Unterminated {
		m.Line = append(m.Line, '\n')
	}
	return nil
}

// open checks a frame, and returns its kind, what follows that, and the checksum.
func (d *decoder) open(frame []byte) (kind byte, c cursor, sum uint32, err error) {
	if len(frame) == 0 || frame[0] != start {
		return 0, c, 0, errFrame
	}
	var b []byte
	b, d.buf = unstuff(d.buf, bytes.TrimSuffix(frame[1:], separator))
	if len(b) <= sumBytes {
		return 0, c, 0, errFrame
	}
	sum = binary.LittleEndian.Uint32(b)
	b = b[sumBytes:]
	if crc32.Checksum(b, castagnoli) != sum {
		return 0, c, 0, errSum
	}
	return b[0], cursor{b: b[1:]}, sum, nil
}

// fields decodes what precedes the line.
func (d *decoder) fields(kind byte, c *cursor, m *logdriver.Message) {
	m.Timestamp = time.Unix(0, int64(binary.LittleEndian.Uint64(c.take(timeBytes)))).UTC()
	if kind&hasContext != 0 && c.take(1)[0] == d.tag && d.known {
		m.Attrs = append(m.Attrs, d.context...)
	}
	switch kind & sourceBits {
	case sourceStdout:
		m.Source = "stdout"
	case sourceStderr:
		m.Source = "stderr"
	case sourceNamed:
		m.Source = d.sources.String(c.text())
	}
	m.Unterminated = kind&unterminated != 0
	if kind&isPart != 0 {
		id, ordinal := c.text(), c.uvarint()
		c.bad = c.bad || len(id) == 0 || ordinal > math.MaxInt32
		m.Partial = logdriver.Partial{ID: string(id), Ordinal: int(ordinal), Last: kind&isLast != 0}
	}
	if kind&hasAttrs != 0 {
		m.Attrs = d.appendAttrs(m.Attrs, c)
	}
}

// appendAttrs appends the attributes of a message. Those of one log mostly have the same.
func (d *decoder) appendAttrs(dst []logdriver.Attr, c *cursor) []logdriver.Attr {
	text := c.text()
	if len(text) > 0 && bytes.Equal(text, d.attrText) {
		return append(dst, d.attrs...)
	}
	own := len(dst)
	dst, ok := appendAttrs(dst, text)
	if !ok {
		c.bad = true
		return dst
	}
	if len(text) <= maxAttrText {
		d.attrText = append(d.attrText[:0], text...)
		d.attrs = append(d.attrs[:0], dst[own:]...)
	}
	return dst
}

// appendAttrs decodes pairs.
func appendAttrs(dst []logdriver.Attr, pairs []byte) (_ []logdriver.Attr, ok bool) {
	c := cursor{b: pairs}
	for n := 0; len(c.b) > 0; n++ {
		key, value := c.text(), c.text()
		if c.bad || n == maxAttrs {
			return dst, false
		}
		dst = append(dst, logdriver.Attr{Key: string(key), Value: string(value)})
	}
	return dst, true
}

// cursor takes fields from the front of b. bad tells that one was not there.
type cursor struct {
	b   []byte
	bad bool
}

var zeros [timeBytes]byte

// take returns the next n bytes, at most timeBytes; zeros if there are fewer.
func (c *cursor) take(n int) []byte {
	if len(c.b) < n {
		c.bad = true
		return zeros[:n]
	}
	b := c.b[:n]
	c.b = c.b[n:]
	return b
}

func (c *cursor) uvarint() uint64 {
	v, n := binary.Uvarint(c.b)
	if n <= 0 {
		c.bad = true
		return 0
	}
	c.b = c.b[n:]
	return v
}

func (c *cursor) text() []byte {
	n := c.uvarint()
	if c.bad || n > uint64(len(c.b)) {
		c.bad = true
		return nil
	}
	b := c.b[:n]
	c.b = c.b[n:]
	return b
}
