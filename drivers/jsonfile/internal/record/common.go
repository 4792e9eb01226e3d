package record

import (
	"time"

	"github.com/logplug/logplug/shared/logdriver"
)

// common is what most records share with one before: all but the line and the nanoseconds.
type common struct {
	text   []byte // from the end of the line to the nanoseconds; empty if there was no such record yet
	source string
	attrs  []logdriver.Attr
	second int64
}

const (
	timeStart = `"time":"` // which no JSON string has in it
	recordEnd = `Z"}`      // after nanoseconds
)

// remember takes what a record has after its line, if that ends with a time that has nanoseconds.
func (c *common) remember(text []byte, m *logdriver.Message) {
	at := len(text) - len(recordEnd) - nanosBytes
	second := at - len(".") - secondBytes
	if second < len(timeStart) || at > maxRemembered || string(text[second-len(timeStart):second]) != timeStart ||
		text[at-1] != '.' || string(text[at+nanosBytes:]) != recordEnd {
		return
	}
	c.text = append(c.text[:0], text[:at]...)
	c.source, c.second = m.Source, m.Timestamp.Unix()
	c.attrs = append(c.attrs[:0], m.Attrs...)
}

// decode decodes what a record has after its line, if it is what was remembered. It returns false
// and leaves m as it is otherwise.
func (c *common) decode(b []byte, m *logdriver.Message) bool {
	at := len(c.text)
	if at == 0 || len(b) < at+nanosBytes || string(b[:at]) != string(c.text) {
		return false
	}
	nsec, ok := nanoseconds(b[at:])
	if end := b[at+nanosBytes:]; !ok || string(end) != recordEnd && string(end) != recordEnd+"\n" {
		return false
	}
	m.Source, m.Timestamp = c.source, time.Unix(c.second, nsec).UTC()
	m.Attrs = append(m.Attrs, c.attrs...)
	return true
}
