package record

import (
	"encoding/base64"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/logplug/logplug/shared/logdriver"
)

const (
	secondFormat = "2006-01-02T15:04:05"
	secondBytes  = len(secondFormat)
	replacement  = "\uFFFD"
	hexDigits    = "0123456789abcdef"
)

type encoder struct {
	attrs []byte

	// What most records have in common with the one before: all from the end of the line to the
	// nanoseconds, but for attributes.
	source   string
	second   int64
	text     []byte // of second
	between  []byte // empty if there was no record yet
	attrsEnd int    // where what follows attributes begins in it
}

// Append implements logfile.Encoder.
func (e *encoder) Append(dst []byte, m *logdriver.Message) []byte {
	dst = append(dst, `{"log":"`...)
	dst, valid := appendEscaped(dst, m.Line)
	if !m.Partial.More() && !m.Unterminated {
		dst = append(dst, `\n`...)
	}
	if m.Timestamp.Unix() != e.second || m.Source != e.source || len(e.between) == 0 {
		e.renew(m)
	}
	if len(e.attrs) > 0 || len(m.Attrs) > 0 {
		dst = append(dst, e.between[:e.attrsEnd]...)
		dst = e.appendAttrs(dst, m.Attrs)
		dst = append(dst, e.between[e.attrsEnd:]...)
	} else {
		dst = append(dst, e.between...)
	}
	dst = appendNanoseconds(dst, uint32(m.Timestamp.Nanosecond()))
	dst = append(dst, `Z"`...)
	if !valid || m.Partial.IsPartial() || m.Unterminated {
		dst = appendExtra(dst, m, valid)
	}
	return append(dst, "}\n"...)
}

// renew makes between that of m.
func (e *encoder) renew(m *logdriver.Message) {
	if second := m.Timestamp.Unix(); second != e.second || len(e.text) == 0 {
		e.second, e.text = second, appendSecond(e.text[:0], m.Timestamp)
	}
	e.source = m.Source
	b := append(e.between[:0], '"')
	if m.Source != "" {
		b = append(b, `,"stream":"`...)
		b, _ = appendEscaped(b, m.Source)
		b = append(b, '"')
	}
	e.attrsEnd = len(b)
	b = append(b, `,"time":"`...)
	b = append(b, e.text...)
	e.between = append(b, '.')
}

func (e *encoder) appendAttrs(dst []byte, attrs []logdriver.Attr) []byte {
	dst = append(dst, `,"attrs":{`...)
	dst = append(dst, e.attrs...)
	if len(e.attrs) > 0 && len(attrs) > 0 {
		dst = append(dst, ',')
	}
	dst = appendMembers(dst, attrs)
	return append(dst, '}')
}

func appendMembers(dst []byte, attrs []logdriver.Attr) []byte {
	for i := range attrs {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, '"')
		dst, _ = appendEscaped(dst, attrs[i].Key)
		dst = append(dst, `":"`...)
		dst, _ = appendEscaped(dst, attrs[i].Value)
		dst = append(dst, '"')
	}
	return dst
}

// appendExtra appends what Docker's fields cannot hold.
func appendExtra(dst []byte, m *logdriver.Message, valid bool) []byte {
	if !valid {
		dst = append(dst, `,"raw":"`...)
		dst = base64.StdEncoding.AppendEncode(dst, m.Line)
		dst = append(dst, '"')
	}
	if m.Partial.IsPartial() {
		dst = append(dst, `,"partial":{"id":"`...)
		dst, _ = appendEscaped(dst, m.Partial.ID)
		dst = append(dst, `","ordinal":`...)
		dst = strconv.AppendInt(dst, int64(m.Partial.Ordinal), 10)
		dst = append(dst, `,"last":`...)
		dst = strconv.AppendBool(dst, m.Partial.Last)
		dst = append(dst, '}')
	}
	if m.Unterminated {
		dst = append(dst, `,"unterminated":true`...)
	}
	return dst
}

// appendSecond keeps the year within what RFC 3339 can say.
func appendSecond(dst []byte, t time.Time) []byte {
	t = t.UTC()
	if year := t.Year(); year < 0 || year > 9999 {
		t = t.AddDate(min(max(year, 0), 9999)-year, 0, 0)
	}
	return t.AppendFormat(dst, secondFormat)
}

// appendEscaped appends the inside of a JSON string, and tells whether s is valid
// UTF-8. Each byte that is not part of a valid sequence becomes U+FFFD.
func appendEscaped[S []byte | string](dst []byte, s S) (_ []byte, valid bool) {
	valid = true
	for {
		n := plainPrefix(s)
		dst = append(dst, s[:n]...)
		if s = s[n:]; len(s) == 0 {
			return dst, valid
		}
		if c := s[0]; c < utf8.RuneSelf {
			dst = appendEscape(dst, c)
			s = s[1:]
			continue
		}
		n, ok := highPrefix(s)
		if ok {
			dst = append(dst, s[:n]...)
		} else {
			dst = append(dst, replacement...)
			valid = false
		}
		s = s[n:]
	}
}

// highPrefix returns the length of the sequence of more than one byte that s
// starts with; ok is false for a byte that starts none.
func highPrefix[S []byte | string](s S) (n int, ok bool) {
	r, n := utf8.DecodeRuneInString(string(s[:min(len(s), utf8.UTFMax)]))
	return n, r != utf8.RuneError || n > 1
}

func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '\n':
		return append(dst, `\n`...)
	case '\r':
		return append(dst, `\r`...)
	case '\t':
		return append(dst, `\t`...)
	case '"', '\\':
		return append(dst, '\\', c)
	}
	return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
}
