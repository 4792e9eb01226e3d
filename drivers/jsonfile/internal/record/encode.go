package record

import (
	"encoding/base64"
	"math/bits"
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
	attrs  []byte
	second int64 // that text is of, if it is not empty
	text   []byte
	source string // that stream is of
	stream []byte // a member
}

// Append implements logfile.Encoder.
func (e *encoder) Append(dst []byte, m *logdriver.Message) []byte {
	dst = append(dst, `{"log":"`...)
	dst, valid := appendEscaped(dst, m.Line)
	if !m.Partial.More() && !m.Unterminated {
		dst = append(dst, `\n`...)
	}
	dst = append(dst, '"')
	if m.Source != "" {
		dst = e.appendSource(dst, m.Source)
	}
	if len(e.attrs) > 0 || len(m.Attrs) > 0 {
		dst = e.appendAttrs(dst, m.Attrs)
	}
	dst = append(dst, `,"time":"`...)
	dst = e.appendTime(dst, m.Timestamp)
	dst = append(dst, '"')
	if !valid || m.Partial.IsPartial() || m.Unterminated {
		dst = appendExtra(dst, m, valid)
	}
	return append(dst, "}\n"...)
}

// appendSource appends the member for a source, which most messages share with the one before.
func (e *encoder) appendSource(dst []byte, source string) []byte {
	if source != e.source {
		e.source = source
		e.stream = append(e.stream[:0], `,"stream":"`...)
		e.stream, _ = appendEscaped(e.stream, source)
		e.stream = append(e.stream, '"')
	}
	return append(dst, e.stream...)
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

// appendTime appends t in UTC with nine fractional digits. Most messages share
// their second with the one before.
func (e *encoder) appendTime(dst []byte, t time.Time) []byte {
	if sec := t.Unix(); sec != e.second || len(e.text) == 0 {
		e.second, e.text = sec, appendSecond(e.text[:0], t)
	}
	dst = append(dst, e.text...)
	// Groups of digits, of which none has to wait for another.
	n := uint32(t.Nanosecond())
	upper, lower := n/1e5, n%1e5
	a, b := upper/100, upper%100
	c, d := lower/1e3, lower%1e3
	return append(dst, '.', tens(a), ones(a), tens(b), ones(b), tens(c), ones(c), byte('0'+d/100), tens(d%100), ones(d), 'Z')
}

// tens returns the first digit of a number below 100.
func tens(n uint32) byte { return byte('0' + n/10) }

// ones returns the last digit of a number.
func ones(n uint32) byte { return byte('0' + n%10) }

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

// plainPrefix returns how many bytes at the beginning of s stand for themselves
// in a JSON string and are ASCII. It looks at eight bytes at a time.
func plainPrefix[S []byte | string](s S) int {
	i := 0
	for ; len(s)-i >= 8; i += 8 {
		if m := special(load(s, i)); m != 0 {
			return i + bits.TrailingZeros64(m)/8
		}
	}
	if i > 0 && i < len(s) { // the end once more, with what is before it
		if m := special(load(s, len(s)-8)); m != 0 {
			return len(s) - 8 + bits.TrailingZeros64(m)/8
		}
		return len(s)
	}
	for ; i < len(s); i++ {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			break
		}
	}
	return i
}

// load returns the eight bytes of s from i on.
func load[S []byte | string](s S, i int) uint64 {
	w := s[i : i+8]
	return uint64(w[0]) | uint64(w[1])<<8 | uint64(w[2])<<16 | uint64(w[3])<<24 |
		uint64(w[4])<<32 | uint64(w[5])<<40 | uint64(w[6])<<48 | uint64(w[7])<<56
}

// special has bits set in the lowest byte of x that is a control character, a
// quote, a backslash or not ASCII, and possibly in higher ones; it is 0 if there
// is none.
func special(x uint64) uint64 {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	control := (x - ones*' ') & ^x
	quote := x ^ ones*'"'
	slash := x ^ ones*'\\'
	return (control | (quote-ones)&^quote | (slash-ones)&^slash | x) & tops
}
