package record

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/logplug/logplug/sdk/logfile"
	"github.com/logplug/logplug/shared/logdriver"
)

const (
	maxOpenLines  = 16      // that are followed at once
	maxRemembered = 4 << 10 // bytes of a text
)

var errNoTime = errors.New("not a log record: it has no time")

// decoder keeps what records have in common, so that decoding does not allocate.
type decoder struct {
	second  int64 // that text is of
	text    [secondBytes]byte
	sources logfile.Sources
	commons [2]common // for two sources that alternate
	recent  int       // the one of commons that was of use last
	// attrText is the object that attrs were decoded from.
	attrText []byte
	attrs    []logdriver.Attr
	open     []openLine
	lines    int
}

// alike decodes what a record has after its line, if it is like one of those before. It returns false
// and leaves m as it is otherwise.
func (d *decoder) alike(b []byte, m *logdriver.Message) bool {
	for range d.commons {
		if d.commons[d.recent].decode(b, m) {
			return true
		}
		d.recent = 1 - d.recent
	}
	return false
}

// openLine is a line of which parts without partial metadata have been read, as
// Docker writes them.
type openLine struct {
	source string
	part   logdriver.Partial
}

// extra holds the fields that are not Docker's.
type extra struct {
	raw          []byte // base64
	part         logdriver.Partial
	unterminated bool
}

// Decode implements logfile.Decoder.
func (d *decoder) Decode(frame []byte, m *logdriver.Message) error {
	var x extra
	if !d.fast(frame, m, &x) {
		m.Reset()
		x = extra{}
		if err := d.slow(frame, m, &x); err != nil {
			return err
		}
	}
	return d.finish(m, &x)
}

// finish turns fields into the message that they stand for.
func (d *decoder) finish(m *logdriver.Message, x *extra) error {
	m.Partial, m.Unterminated = x.part, x.unterminated
	if len(x.raw) > 0 {
		line, err := base64.StdEncoding.AppendDecode(m.Line[:0], x.raw)
		if err != nil {
			return fmt.Errorf("field raw: %w", err)
		}
		m.Line = line
		if !m.Partial.More() && !m.Unterminated {
			m.Line = append(m.Line, '\n')
		}
		return nil
	}
	if m.Partial.IsPartial() || m.Unterminated {
		return nil
	}
	ends := len(m.Line) > 0 && m.Line[len(m.Line)-1] == '\n'
	if !ends || len(d.open) > 0 {
		d.assemble(m, ends)
	}
	return nil
}

// assemble gives parts without metadata some, so that they can be put together
// as all others.
func (d *decoder) assemble(m *logdriver.Message, last bool) {
	for i := range d.open {
		if o := &d.open[i]; o.source == m.Source {
			o.part.Ordinal++
			o.part.Last = last
			m.Partial = o.part
			if last {
				d.open = append(d.open[:i], d.open[i+1:]...)
			}
			return
		}
	}
	if last || len(d.open) == maxOpenLines {
		return
	}
	d.lines++
	m.Partial = logdriver.Partial{ID: "line-" + strconv.Itoa(d.lines), Ordinal: 1}
	d.open = append(d.open, openLine{m.Source, m.Partial})
}

// slow decodes whatever encoding/json takes. m and x are empty.
func (d *decoder) slow(frame []byte, m *logdriver.Message, x *extra) error {
	var w struct {
		Log     string          `json:"log"`
		Stream  string          `json:"stream"`
		Attrs   json.RawMessage `json:"attrs"`
		Time    *time.Time      `json:"time"`
		Raw     string          `json:"raw"`
		Partial struct {
			ID      string `json:"id"`
			Ordinal int    `json:"ordinal"`
			Last    bool   `json:"last"`
		} `json:"partial"`
		Unterminated bool `json:"unterminated"`
	}
	if err := json.Unmarshal(frame, &w); err != nil {
		return fmt.Errorf("not a log record: %w", err)
	}
	if w.Time == nil {
		return errNoTime
	}
	attrs, err := orderedAttrs(m.Attrs, w.Attrs)
	if err != nil {
		return err
	}
	m.Attrs = attrs
	m.Line = append(m.Line, w.Log...)
	m.Source = d.sources.String([]byte(w.Stream))
	m.Timestamp = w.Time.UTC()
	x.raw, x.unterminated = []byte(w.Raw), w.Unterminated
	if w.Partial.ID != "" {
		x.part = logdriver.Partial{ID: w.Partial.ID, Ordinal: w.Partial.Ordinal, Last: w.Partial.Last}
	}
	return nil
}

// orderedAttrs decodes an object of strings, keeping its order.
func orderedAttrs(dst []logdriver.Attr, raw []byte) ([]logdriver.Attr, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return dst, nil
	}
	var check map[string]string
	if err := json.Unmarshal(raw, &check); err != nil {
		return dst, fmt.Errorf("not a log record: field attrs: %w", err)
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	if _, err := dec.Token(); err != nil {
		return dst, err
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return dst, err
		}
		value, err := dec.Token()
		if err != nil {
			return dst, err
		}
		k, _ := key.(string)
		v, _ := value.(string)
		dst = append(dst, logdriver.Attr{Key: k, Value: v})
	}
	return dst, nil
}

// parser reads the shape that json-file drivers write. Whatever
// is different it leaves to encoding/json.
type parser struct {
	b  []byte
	ok bool
}

// fast decodes a record of the usual shape; it returns false for any other.
func (d *decoder) fast(frame []byte, m *logdriver.Message, x *extra) bool {
	p := parser{b: frame, ok: true}
	if !p.skip("{") {
		return false
	}
	var rest []byte // after the line, if that is the first member
	timed := false
	for {
		switch {
		case p.skip(`"log":"`):
			first := len(p.b) == len(frame)-len(`{"log":"`)
			m.Line, rest = p.text(m.Line[:0]), nil
			if first {
				rest = p.b
			}
			if first && p.ok && d.alike(rest, m) {
				return true
			}
		case p.skip(`"stream":"`):
			m.Source = d.sources.String(p.plain())
		case p.skip(`"attrs":{`):
			p.ok = p.ok && len(m.Attrs) == 0
			m.Attrs = d.members(&p, m.Attrs)
		case p.skip(`"time":"`):
			m.Timestamp, timed = d.time(&p), true
		case p.skip(`"raw":"`):
			x.raw = p.plain()
		case p.skip(`"partial":{"id":"`):
			x.part = p.partial()
		case p.skip(`"unterminated":true`):
			x.unterminated = true
		default:
			p.ok = false
		}
		switch {
		case !p.ok:
			return false
		case p.skip(","):
		case p.skip("}"):
			ok := timed && (len(p.b) == 0 || string(p.b) == "\n")
			if ok && len(rest) > 0 && len(x.raw) == 0 && !x.part.IsPartial() && !x.unterminated {
				d.recent = 1 - d.recent
				d.commons[d.recent].remember(rest[:len(rest)-len(p.b)], m)
			}
			return ok
		default:
			return false
		}
	}
}

func (p *parser) skip(s string) bool {
	if len(p.b) >= len(s) && string(p.b[:len(s)]) == s {
		p.b = p.b[len(s):]
		return true
	}
	return false
}

// plain returns a string of ASCII without escapes, and passes its closing quote.
func (p *parser) plain() []byte {
	n := plainPrefix(p.b)
	if n == len(p.b) || p.b[n] != '"' {
		p.ok = false
		return nil
	}
	s := p.b[:n]
	p.b = p.b[n+1:]
	return s
}

// text appends any string to dst, and passes its closing quote.
func (p *parser) text(dst []byte) []byte {
	for {
		n := plainPrefix(p.b)
		dst = append(dst, p.b[:n]...)
		p.b = p.b[n:]
		switch {
		case len(p.b) < 2 || p.b[0] < ' ':
			p.ok = false
			return dst
		case p.b[0] == '"':
			p.b = p.b[1:]
			return dst
		case p.b[0] == '\\':
			if dst = p.escape(dst); !p.ok {
				return dst
			}
		default:
			n, ok := highPrefix(p.b)
			if !ok {
				p.ok = false
				return dst
			}
			dst = append(dst, p.b[:n]...)
			p.b = p.b[n:]
		}
	}
}

// escape appends what an escape sequence stands for. Surrogates are rare and left
// to encoding/json.
func (p *parser) escape(dst []byte) []byte {
	c := p.b[1]
	n := 2
	switch c {
	case 'n':
		dst = append(dst, '\n')
	case '"', '\\', '/':
		dst = append(dst, c)
	case 'r':
		dst = append(dst, '\r')
	case 't':
		dst = append(dst, '\t')
	case 'b':
		dst = append(dst, '\b')
	case 'f':
		dst = append(dst, '\f')
	case 'u':
		r, ok := hex4(p.b[2:])
		if !ok || !utf8.ValidRune(r) {
			p.ok = false
			return dst
		}
		dst = utf8.AppendRune(dst, r)
		n = 6
	default:
		p.ok = false
		return dst
	}
	p.b = p.b[n:]
	return dst
}

func hex4(b []byte) (r rune, ok bool) {
	if len(b) < 4 {
		return 0, false
	}
	for _, c := range b[:4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// partial reads the rest of `"partial":{"id":"`.
func (p *parser) partial() logdriver.Partial {
	part := logdriver.Partial{ID: string(p.plain())}
	if part.ID == "" || !p.skip(`,"ordinal":`) {
		p.ok = false
		return part
	}
	part.Ordinal = p.number()
	switch {
	case p.skip(`,"last":true}`):
		part.Last = true
	case !p.skip(`,"last":false}`):
		p.ok = false
	}
	return part
}

// number reads a number of at most nine digits.
func (p *parser) number() int {
	n, i := 0, 0
	for ; i < len(p.b) && i < 10 && p.b[i]-'0' <= 9; i++ {
		n = n*10 + int(p.b[i]-'0')
	}
	if i == 0 || i > 9 || i > 1 && p.b[0] == '0' {
		p.ok = false
	}
	p.b = p.b[i:]
	return n
}

// members appends the members of an object of strings whose brace is passed.
// Records of one log mostly have the same.
func (d *decoder) members(p *parser, dst []logdriver.Attr) []logdriver.Attr {
	if len(d.attrText) > 0 && bytes.HasPrefix(p.b, d.attrText) {
		p.b = p.b[len(d.attrText):]
		return append(dst, d.attrs...)
	}
	start := p.b
	if p.skip("}") {
		return dst
	}
	for {
		if !p.skip(`"`) {
			break
		}
		key := string(p.text(nil))
		if !p.ok || !p.skip(`:"`) {
			break
		}
		dst = append(dst, logdriver.Attr{Key: key, Value: string(p.text(nil))})
		if p.ok && p.skip(",") {
			continue
		}
		if p.ok && p.skip("}") {
			d.remember(start[:len(start)-len(p.b)], dst)
			return dst
		}
		break
	}
	p.ok = false
	return dst
}

func (d *decoder) remember(text []byte, attrs []logdriver.Attr) {
	if len(text) > maxRemembered {
		return
	}
	d.attrText = append(d.attrText[:0], text...)
	d.attrs = append(d.attrs[:0], attrs...)
}

// time reads a time in UTC. Most records share their second with the one before.
func (d *decoder) time(p *parser) time.Time {
	s := p.plain()
	if len(s) <= secondBytes || s[len(s)-1] != 'Z' {
		p.ok = false
		return time.Time{}
	}
	if string(s[:secondBytes]) != string(d.text[:]) {
		if s[10] != 'T' || s[13] != ':' || s[16] != ':' { // time.Parse is more lenient than JSON
			p.ok = false
			return time.Time{}
		}
		t, err := time.Parse(secondFormat, string(s[:secondBytes]))
		if err != nil {
			p.ok = false
			return time.Time{}
		}
		d.second = t.Unix()
		copy(d.text[:], s)
	}
	nsec, ok := fraction(s[secondBytes : len(s)-1])
	p.ok = p.ok && ok
	return time.Unix(d.second, nsec).UTC()
}

// fraction reads "", or a point and one to nine digits, as nanoseconds.
func fraction(s []byte) (int64, bool) {
	if len(s) == 0 {
		return 0, true
	}
	if s[0] != '.' || len(s) < 2 || len(s) > 10 {
		return 0, false
	}
	n := int64(0)
	for _, c := range s[1:] {
		if c-'0' > 9 {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	for i := len(s); i < 10; i++ {
		n *= 10
	}
	return n, true
}
