package natslog

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/logplug/logplug/shared/logdriver"
)

// encoded returns the header block as it is on the wire.
func encoded(h nats.Header) []byte {
	b := []byte("NATS/1.0\r\n")
	for k, values := range h {
		b = fmt.Appendf(b, "%s: %s\r\n", k, values[0])
	}
	return append(b, "\r\n"...)
}

func roundTrip(t *testing.T, e *encoder, in *logdriver.Message) (*logdriver.Message, meta) {
	t.Helper()
	e.line(in, in.Line, 7, in.Timestamp.Add(time.Second))
	if got := e.headerBytes(); got < len(encoded(e.msg.Header)) {
		t.Errorf("headers take %d bytes, not %d", len(encoded(e.msg.Header)), got)
	}
	h, err := nats.DecodeHeadersMsg(encoded(e.msg.Header))
	if err != nil {
		t.Fatal(err)
	}
	m, err := parseMeta(h, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	out := &logdriver.Message{Timestamp: m.time}
	if err := parseLine(out, h, e.msg.Data); err != nil {
		t.Fatal(err)
	}
	return out, m
}

func TestLineRoundTrip(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	for _, in := range []logdriver.Message{
		{},
		{Line: []byte("a\x00\xff\r\n"), Source: "stdout"},
		{Source: " a\r\nNats-Rollup: all\t"}, {Source: `"`}, {Source: "\u00e9"},
		{Partial: logdriver.Partial{ID: "i d\n\xff", Ordinal: 3}},
		{Partial: logdriver.Partial{ID: "x", Ordinal: 4, Last: true}},
		{Unterminated: true},
		{Attrs: []logdriver.Attr{{Key: "z", Value: "1"}, {Key: "a", Value: "\r\n\u2028<\u00e9>"}, {Key: "", Value: ""}, {Key: "z", Value: "2"}}},
	} {
		in.Timestamp = at
		out, m := roundTrip(t, newEncoder("s", nil), &in)
		line := append([]byte(nil), in.Line...)
		if !in.Partial.More() && !in.Unterminated {
			line = append(line, '\n')
		}
		if !bytes.Equal(out.Line, line) || out.Source != in.Source || out.Partial != in.Partial || out.Unterminated != in.Unterminated ||
			!slices.Equal(out.Attrs, in.Attrs) || !out.Timestamp.Equal(at) {
			t.Errorf("%+v\nbecame %+v", in, out)
		}
		if m.index != 7 || !m.peak.Equal(at.Add(time.Second)) {
			t.Errorf("%+v", m)
		}
	}
}

func TestFixedAttributes(t *testing.T) {
	fixed := []logdriver.Attr{{Key: "job", Value: "build"}}
	e := newEncoder("s", fixed)
	most := slices.Repeat([]logdriver.Attr{{Key: "k", Value: "v"}}, logdriver.MaxAttrs)
	for _, own := range [][]logdriver.Attr{nil, {{Key: "k", Value: "v"}}, nil, most} {
		out, _ := roundTrip(t, e, &logdriver.Message{Attrs: own})
		if want := slices.Concat(fixed, own); !slices.Equal(out.Attrs, want) {
			t.Errorf("%v, want %v", out.Attrs, want)
		}
	}
}

// What the headers of a message can take at most is known without making them.
func TestJSONGrowth(t *testing.T) {
	for r := range rune(0x3000) {
		for _, s := range []string{string(r), string([]byte{byte(r)})} {
			if n := len(appendJSON(nil, s)) - len(`""`); n > maxJSONGrowth*len(s) {
				t.Errorf("%q takes %d bytes", s, n)
			}
		}
	}
}

func TestWriters(t *testing.T) {
	var s state
	for i := range 20 {
		s.advance(fmt.Sprint("w", i%12), uint64(i+1))
	}
	if len(s.writers) != maxWriters || s.held("w7") != 20 || s.held("w8") != 0 || s.held("w0") != 13 || s.held("w1") != 14 {
		t.Errorf("%+v", s.writers)
	}
	e := newEncoder("s", nil)
	e.begin()
	e.setWriters(s.writers)
	got, err := parseWriters(e.msg.Header.Get(headerWriters))
	if err != nil || !slices.Equal(got, s.writers) {
		t.Errorf("%v, %v", got, err)
	}
}

func FuzzHeaders(f *testing.F) {
	e := newEncoder("s", nil)
	e.line(&logdriver.Message{Source: "x", Partial: logdriver.Partial{ID: "i", Ordinal: 1}, Attrs: []logdriver.Attr{{Key: "k", Value: "v"}}}, nil, 1, time.Now())
	e.setWriters([]writer{{"s", 1}})
	f.Add(encoded(e.msg.Header))
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := nats.DecodeHeadersMsg(data)
		if err != nil {
			return
		}
		_ = stateOf(stored{seq: 1, header: h})
		if _, err := parseMeta(h, time.Time{}); err != nil {
			return
		}
		var m logdriver.Message
		_ = parseLine(&m, h, nil) // whatever it makes of it
	})
}

func FuzzText(f *testing.F) {
	f.Add("stdout")
	f.Add("\"\r\n ")
	f.Fuzz(func(t *testing.T, s string) {
		v := text(s)
		if strings.ContainsAny(v, "\r\n") {
			t.Errorf("%q", v)
		}
		h, err := nats.DecodeHeadersMsg(encoded(nats.Header{"K": {v}}))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := parseText(h.Get("K")); err != nil || got != s {
			t.Errorf("%q became %q: %v", s, got, err)
		}
	})
}
