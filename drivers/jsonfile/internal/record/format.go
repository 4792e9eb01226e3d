// Package record is the format of Docker's json-file logs: an object a line,
//
//	{"log":"text\n","stream":"stdout","attrs":{"k":"v"},"time":"2006-01-02T15:04:05.000000000Z"}
//
// in which a record without the final "\n" in log is a part of a line that
// goes on in the next record of the same stream. What Docker's fields cannot
// hold is kept in further ones, which its readers ignore:
//
//	raw           the bytes of the line, base64, where they are not valid UTF-8;
//	              log then has U+FFFD in place of what is not
//	partial       {"id","ordinal","last"} of a part of a line
//	unterminated  true where the source ended after the line without a newline
package record

import (
	"github.com/logplug/logplug/sdk/logfile"
	"github.com/logplug/logplug/shared/logdriver"
)

// Format implements logfile.Format.
type Format struct {
	logfile.Lines
	attrs []byte // members of the object attrs that every record has
}

// New returns the format for a log each of whose records has the given
// attributes before its own.
func New(attrs []logdriver.Attr) *Format {
	return &Format{attrs: appendMembers(nil, attrs)}
}

// NewEncoder implements logfile.Format.
func (f *Format) NewEncoder() logfile.Encoder { return &encoder{attrs: f.attrs} }

// NewDecoder implements logfile.Format.
func (f *Format) NewDecoder() logfile.Decoder { return &decoder{} }
