package render

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"time"
	"unicode/utf8"

	"github.com/logplug/logplug/shared/logdriver"
)

// JSON writes each message as one JSON object on a line of its own.
type JSON struct {
	w   *bufio.Writer
	enc *json.Encoder
}

// NewJSON returns a printer to w.
func NewJSON(w io.Writer) *JSON {
	b := bufio.NewWriterSize(w, bufferBytes)
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	return &JSON{w: b, enc: enc}
}

// record is the form of a message.
type record struct {
	Time   time.Time `json:"time"`
	Source string    `json:"source"`
	// Line has no newline at its end. Where it is not UTF-8, the bytes that are not
	// are replaced, and Raw holds all of them, in base64.
	Line  string            `json:"line"`
	Raw   []byte            `json:"raw,omitempty"`
	Attrs map[string]string `json:"attrs,omitempty"`
	// Partial places a part in a line that was too long for one message.
	Partial *partial `json:"partial,omitempty"`
	// Unterminated tells that the stream ended without a newline.
	Unterminated bool `json:"unterminated,omitempty"`
}

type partial struct {
	ID      string `json:"id"`
	Ordinal int    `json:"ordinal"`
	Last    bool   `json:"last"`
}

// Print implements Printer.
func (j *JSON) Print(m *logdriver.Message) error {
	line := bytes.TrimSuffix(m.Line, []byte("\n"))
	r := record{Time: m.Timestamp.UTC(), Source: m.Source, Line: string(line), Unterminated: m.Unterminated}
	if !utf8.Valid(line) {
		r.Raw = line
	}
	if m.Partial.IsPartial() {
		r.Partial = &partial{m.Partial.ID, m.Partial.Ordinal, m.Partial.Last}
	}
	if len(m.Attrs) > 0 {
		r.Attrs = make(map[string]string, len(m.Attrs))
		for _, a := range m.Attrs {
			r.Attrs[a.Key] = a.Value
		}
	}
	return j.enc.Encode(&r)
}

// Flush implements Printer.
func (j *JSON) Flush() error { return j.w.Flush() }
