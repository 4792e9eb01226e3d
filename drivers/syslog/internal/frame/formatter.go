package frame

import (
	"bytes"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/logplug/logplug/shared/logdriver"
)

// Formatter formats the messages of one logger. It is not safe for concurrent use.
type Formatter struct {
	cfg    Config
	before [2]string // the timestamp: PRI and VERSION; for stdout and stderr
	after  string    // the timestamp, up to what depends on the message
	params []byte    // the SD-PARAMs that all messages have

	head, line []byte // scratch
}

// New returns a Formatter.
func New(cfg Config) *Formatter {
	cfg.Tag = strings.ToValidUTF8(cfg.Tag, "_")
	f := &Formatter{cfg: cfg}
	for i, severity := range []int{severityInfo, severityErr} {
		f.before[i] = fmt.Sprintf("<%d>", cfg.Facility<<3|severity)
	}
	host := printable(cfg.Hostname, maxHostname)
	switch cfg.Style {
	case Unix:
		f.after = fmt.Sprintf(" %s[%d]: ", printable(cfg.Tag, MaxTag), cfg.PID)
	case RFC3164:
		f.after = fmt.Sprintf(" %s %s[%d]: ", host, printable(cfg.Tag, MaxTag), cfg.PID)
	default:
		f.before[0] += "1 "
		f.before[1] += "1 "
		f.after = fmt.Sprintf(" %s %s %d ", host, printable(cfg.Tag, maxAppName), cfg.PID)
		for name, value := range f.common() {
			f.params = f.appendParam(f.params, name, value)
		}
	}
	return f
}

// Append appends m to buf, as one frame or as several if it is too long for one,
// and the offsets of their ends to ends.
func (f *Formatter) Append(buf []byte, ends []int, m *logdriver.Message) ([]byte, []int) {
	line := m.Line
	if f.cfg.Framing == Newline && bytes.IndexByte(line, '\n') >= 0 {
		f.line = appendEscaped(f.line[:0], line)
		line = f.line
	}
	f.head = f.appendStart(f.head[:0], m)
	if f.cfg.Style.Structured() {
		start := len(f.head)
		f.head = append(f.head, '[')
		f.head = append(f.head, f.cfg.SDID...)
		empty := len(f.head)
		f.head = append(f.head, f.params...)
		for name, value := range f.own(m) {
			f.head = f.appendParam(f.head, name, value)
		}
		f.head = appendDataEnd(f.head, start, empty)
	}
	if len(f.head)+len(line) <= f.cfg.MaxBytes {
		buf = f.appendFrame(buf, line)
		return buf, append(ends, len(buf))
	}
	return f.appendParts(buf, ends, m, line)
}

// appendDataEnd ends structured data that began at start; it is the nil value if
// nothing was appended since its length was empty.
func appendDataEnd(b []byte, start, empty int) []byte {
	if len(b) == empty {
		return append(b[:start], nilValue+" "...)
	}
	return append(b, "] "...)
}

// appendFrame appends a message of head and text, framed.
func (f *Formatter) appendFrame(buf, text []byte) []byte {
	if f.cfg.Framing == OctetCounting {
		buf = strconv.AppendInt(buf, int64(len(f.head)+len(text)), 10)
		buf = append(buf, ' ')
	}
	buf = append(buf, f.head...)
	buf = append(buf, text...)
	if f.cfg.Framing == Newline {
		buf = append(buf, '\n')
	}
	return buf
}

// appendStart appends what precedes the structured data, or the text.
func (f *Formatter) appendStart(b []byte, m *logdriver.Message) []byte {
	if m.Source == "stderr" {
		b = append(b, f.before[1]...)
	} else {
		b = append(b, f.before[0]...)
	}
	b = f.appendTime(b, m.Timestamp)
	b = append(b, f.after...)
	if f.cfg.Style.Structured() {
		b = append(b, printable(m.Source, maxMsgID)...)
		b = append(b, ' ')
	}
	return b
}

// common yields the SD-PARAMs of all messages.
func (f *Formatter) common() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		if f.cfg.Tag != "" && printable(f.cfg.Tag, maxAppName) != f.cfg.Tag && !yield("tag", f.cfg.Tag) {
			return
		}
		for _, a := range f.cfg.Attrs {
			if !yield(param(a)) {
				return
			}
		}
	}
}

// own yields the SD-PARAMs of one message.
func (f *Formatter) own(m *logdriver.Message) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		if m.Source != "" && printable(m.Source, maxMsgID) != m.Source && !yield("source", m.Source) {
			return
		}
		for _, a := range m.Attrs {
			if !yield(param(a)) {
				return
			}
		}
		// A line that has come in parts which could not be joined.
		if m.Partial.IsPartial() {
			_ = yield("partial-id", m.Partial.ID) &&
				yield("partial-ordinal", strconv.Itoa(m.Partial.Ordinal)) &&
				yield("partial-last", strconv.FormatBool(m.Partial.Last))
		}
	}
}

// param returns the SD-PARAM for an attribute. A key that cannot be the name of
// one goes into the value of one named "attr".
func param(a logdriver.Attr) (name, value string) {
	if a.Key != "" && len(a.Key) <= maxParamName && validName(a.Key) {
		return a.Key, a.Value
	}
	return "attr", a.Key + "=" + a.Value
}

// appendTime appends TIMESTAMP: local time in RFC 3164, section 4.1.2, else that
// of RFC 5424, section 6.2.3, in UTC.
func (f *Formatter) appendTime(b []byte, t time.Time) []byte {
	switch f.cfg.Style {
	case RFC5424:
		return t.UTC().AppendFormat(b, time.RFC3339)
	case RFC5424Micro:
		return t.UTC().AppendFormat(b, "2006-01-02T15:04:05.000000Z07:00")
	}
	return t.Local().AppendFormat(b, time.Stamp)
}

// appendParam appends an SD-PARAM with a blank before it. RFC 5424, section 6.3.3:
// three characters of the value are escaped.
func (f *Formatter) appendParam(b []byte, name, value string) []byte {
	b = append(b, ' ')
	b = append(b, name...)
	b = append(b, '=', '"')
	for i := range len(value) {
		b = f.appendParamByte(b, value[i])
	}
	return append(b, '"')
}

func (f *Formatter) appendParamByte(b []byte, c byte) []byte {
	switch {
	case c == '"' || c == '\\' || c == ']':
		return append(b, '\\', c)
	case c == '\n' && f.cfg.Framing == Newline:
		return append(b, escapedNewline...)
	}
	return append(b, c)
}

const escapedNewline = "#012"

// appendEscaped appends line with its newlines escaped.
func appendEscaped(b, line []byte) []byte {
	for {
		i := bytes.IndexByte(line, '\n')
		if i < 0 {
			return append(b, line...)
		}
		b = append(b, line[:i]...)
		b = append(b, escapedNewline...)
		line = line[i+1:]
	}
}
