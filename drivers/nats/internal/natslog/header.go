package natslog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/logplug/logplug/shared/logdriver"
)

// Headers of a message. The payload is the line, as it is, without a newline.
const (
	headerTime         = "Logplug-Time"         // logdriver.TimeFormat
	headerSource       = "Logplug-Source"       // text
	headerPartial      = "Logplug-Partial"      // ordinal, "more" or "last", and the ID as text
	headerUnterminated = "Logplug-Unterminated" // "true"
	headerAttrs        = "Logplug-Attrs"        // a JSON object of strings
	headerIndex        = "Logplug-Index"        // the number of the line in the log
	headerFollows      = "Logplug-Follows"      // the number of the line before, if the log was empty and numbers were left out
	headerPeak         = "Logplug-Peak"         // the latest time so far, if it is not that of the message
	headerWriters      = "Logplug-Writers"      // JSON: how far the latest writers got; in the last message of a batch
	headerPieces       = "Logplug-Pieces"       // how many messages before this one hold the beginning of the line
	headerEvent        = "Logplug-Event"        // of a message that is no line: "open", "close" or "piece"
)

const (
	eventOpen  = "open"
	eventClose = "close"
	eventPiece = "piece" // of a line that is too long for one message, and that follows
)

// maxWriters is how many writers of a log are remembered.
const maxWriters = 8

// writer is how far one stream of messages (Info.Stream) has been stored.
type writer struct {
	Stream string `json:"stream"`
	Seq    uint64 `json:"seq"`
}

// meta is what the headers of a message say beside what belongs to the line.
type meta struct {
	index   uint64 // 0 in a message that this driver did not publish
	follows uint64 // 0 if no numbers were left out
	time    time.Time
	peak    time.Time
	event   string
}

// before returns the number of the line before a message.
func (m *meta) before() uint64 {
	switch {
	case m.follows > 0:
		return m.follows
	case m.event == "":
		return m.index - 1
	}
	return m.index
}

// text returns s as the value of a header: as it is, or as a Go string literal if
// it has bytes that do not survive there.
func text(s string) string {
	plain := !strings.HasPrefix(s, `"`)
	for i := 0; plain && i < len(s); i++ {
		plain = s[i] > ' ' && s[i] < 0x7f
	}
	if plain {
		return s
	}
	return strconv.QuoteToASCII(s)
}

func parseText(s string) (string, error) {
	if !strings.HasPrefix(s, `"`) {
		return s, nil
	}
	return strconv.Unquote(s)
}

// appendAttrs appends a JSON object. Attributes keep their order, also those with
// equal keys.
func appendAttrs(b []byte, attrs ...[]logdriver.Attr) []byte {
	b = append(b, '{')
	n := 0
	for _, list := range attrs {
		for _, a := range list {
			if n++; n > 1 {
				b = append(b, ',')
			}
			b = appendJSON(b, a.Key)
			b = append(b, ':')
			b = appendJSON(b, a.Value)
		}
	}
	return append(b, '}')
}

// maxJSONGrowth is how many bytes appendJSON makes of one at most: "\u0001".
const maxJSONGrowth = 6

func appendJSON(b []byte, s string) []byte {
	quoted, err := json.Marshal(s)
	if err != nil {
		return append(b, `""`...) // strings have no errors
	}
	return append(b, quoted...)
}

var errAttrs = errors.New("not a JSON object of strings")

// parseAttrs appends what appendAttrs has written. The number is bounded by what a server
// takes of headers: it is that of a message and those of the log.
func parseAttrs(dst []logdriver.Attr, s string) ([]logdriver.Attr, error) {
	d := json.NewDecoder(strings.NewReader(s))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return dst, errAttrs
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return dst, errAttrs
		}
		value, err := d.Token()
		if err != nil {
			return dst, errAttrs
		}
		k, ok := key.(string)
		v, ok2 := value.(string)
		if !ok || !ok2 {
			return dst, errAttrs
		}
		dst = append(dst, logdriver.Attr{Key: k, Value: v})
	}
	if t, err := d.Token(); err != nil || t != json.Delim('}') {
		return dst, errAttrs
	}
	return dst, nil
}

func formatPartial(p logdriver.Partial) string {
	end := "more"
	if p.Last {
		end = "last"
	}
	return strconv.Itoa(p.Ordinal) + " " + end + " " + text(p.ID)
}

func parsePartial(s string) (p logdriver.Partial, err error) {
	ordinal, rest, _ := strings.Cut(s, " ")
	end, id, ok := strings.Cut(rest, " ")
	if !ok || (end != "more" && end != "last") {
		return p, errors.New("not an ordinal, more or last, and an ID")
	}
	if p.Ordinal, err = strconv.Atoi(ordinal); err != nil {
		return p, err
	}
	p.Last = end == "last"
	p.ID, err = parseText(id)
	return p, err
}

// parseWriters reads the header of the last message of a batch.
func parseWriters(s string) ([]writer, error) {
	if s == "" {
		return nil, nil
	}
	var writers []writer
	if err := json.Unmarshal([]byte(s), &writers); err != nil {
		return nil, err
	}
	if len(writers) > maxWriters {
		writers = writers[:maxWriters]
	}
	return writers, nil
}

// parseMeta reads what a search needs. stored is when the server stored the
// message: the time of one that does not tell its own.
func parseMeta(h nats.Header, stored time.Time) (m meta, err error) {
	m = meta{time: stored, peak: stored, event: h.Get(headerEvent)}
	index := h.Get(headerIndex)
	if index == "" {
		return m, nil // another program's
	}
	if m.index, err = strconv.ParseUint(index, 10, 64); err != nil {
		return m, fmt.Errorf("header %s: %w", headerIndex, err)
	}
	if follows := h.Get(headerFollows); follows != "" {
		if m.follows, err = strconv.ParseUint(follows, 10, 64); err != nil {
			return m, fmt.Errorf("header %s: %w", headerFollows, err)
		}
	}
	if m.time, err = time.Parse(time.RFC3339Nano, h.Get(headerTime)); err != nil {
		return m, fmt.Errorf("header %s: %w", headerTime, err)
	}
	m.peak = m.time
	if peak := h.Get(headerPeak); peak != "" {
		if m.peak, err = time.Parse(time.RFC3339Nano, peak); err != nil {
			return m, fmt.Errorf("header %s: %w", headerPeak, err)
		}
	}
	return m, nil
}

// parseLine fills in m, whose time is known.
func parseLine(m *logdriver.Message, h nats.Header, data []byte) (err error) {
	m.Line = append(m.Line, data...)
	if m.Source, err = parseText(h.Get(headerSource)); err != nil {
		return fmt.Errorf("header %s: %w", headerSource, err)
	}
	if s := h.Get(headerPartial); s != "" {
		if m.Partial, err = parsePartial(s); err != nil {
			return fmt.Errorf("header %s: %w", headerPartial, err)
		}
	}
	if s := h.Get(headerAttrs); s != "" {
		if m.Attrs, err = parseAttrs(m.Attrs, s); err != nil {
			return fmt.Errorf("header %s: %w", headerAttrs, err)
		}
	}
	m.Unterminated = h.Get(headerUnterminated) != ""
	if !m.Partial.More() && !m.Unterminated {
		m.Line = append(m.Line, '\n')
	}
	return nil
}

// encoder makes the headers of messages, one after the other, in the same memory.
type encoder struct {
	msg    nats.Msg
	values [16][]string // one each for the header's values
	used   int
	attrs  []logdriver.Attr // of every message
	fixed  string           // these alone, encoded
	lines  time.Time        // when text was made
	text   string           // of lines
	buf    []byte
}

func newEncoder(subject string, attrs []logdriver.Attr) *encoder {
	e := &encoder{msg: nats.Msg{Subject: subject, Header: nats.Header{}}, attrs: attrs}
	for i := range e.values {
		e.values[i] = make([]string, 1)
	}
	if len(attrs) > 0 {
		e.fixed = string(appendAttrs(nil, attrs))
	}
	return e
}

// begin starts a message.
func (e *encoder) begin() {
	clear(e.msg.Header)
	e.used, e.msg.Data = 0, nil
}

func (e *encoder) set(key, value string) {
	v := e.values[e.used]
	e.used++
	v[0] = value
	e.msg.Header[key] = v
}

// setTime sets both times. Messages of one batch often have the same.
func (e *encoder) setTime(t, peak time.Time) {
	e.set(headerTime, e.time(t))
	if peak.After(t) {
		e.set(headerPeak, e.time(peak))
	}
}

func (e *encoder) time(t time.Time) string {
	if e.text == "" || !t.Equal(e.lines) {
		e.lines, e.text = t, t.UTC().Format(logdriver.TimeFormat)
	}
	return e.text
}

// line makes the message for a line, or for its last piece, data.
func (e *encoder) line(m *logdriver.Message, data []byte, index uint64, peak time.Time) {
	e.begin()
	e.msg.Data = data
	e.setTime(m.Timestamp, peak)
	e.set(headerIndex, strconv.FormatUint(index, 10))
	if m.Source != "" {
		e.set(headerSource, text(m.Source))
	}
	switch {
	case len(m.Attrs) > 0:
		e.buf = appendAttrs(e.buf[:0], e.attrs, m.Attrs)
		e.set(headerAttrs, string(e.buf))
	case e.fixed != "":
		e.set(headerAttrs, e.fixed)
	}
	if m.Partial.IsPartial() {
		e.set(headerPartial, formatPartial(m.Partial))
	}
	if m.Unterminated {
		e.set(headerUnterminated, "true")
	}
}

// event makes a message that is no line.
func (e *encoder) event(what string, index uint64, peak time.Time) {
	e.begin()
	e.setTime(peak, peak)
	e.set(headerIndex, strconv.FormatUint(index, 10))
	e.set(headerEvent, what)
}

// setFollows notes the number of the line before, if there is reason to.
func (e *encoder) setFollows(index uint64) {
	if index > 0 {
		e.set(headerFollows, strconv.FormatUint(index, 10))
	}
}

// setWriters marks the last message of a batch.
func (e *encoder) setWriters(writers []writer) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	if enc.Encode(writers) == nil { // strings and numbers have no errors
		e.set(headerWriters, strings.TrimSpace(b.String()))
	}
}

// headerBytes returns about how many bytes the headers take: never less.
func (e *encoder) headerBytes() int {
	n := len("NATS/1.0\r\n\r\n")
	for k, v := range e.msg.Header {
		n += len(k) + len(v[0]) + len(": \r\n")
	}
	return n
}
