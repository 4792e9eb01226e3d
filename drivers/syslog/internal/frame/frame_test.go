package frame

import (
	"bytes"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/leodido/go-syslog/v4/rfc5424"
	"github.com/logplug/logplug/shared/logdriver"
)

func config(style Style, framing Framing) Config {
	return Config{
		Style: style, Framing: framing, Facility: 3, Hostname: "host", Tag: "tag", PID: 42,
		SDID: "logplug@32473", MaxBytes: 8096,
	}
}

func TestFormats(t *testing.T) {
	at := time.Date(2026, 2, 3, 4, 5, 6, 123456789, time.UTC)
	m := &logdriver.Message{Line: []byte("a\nb"), Source: "stderr", Timestamp: at, Attrs: []logdriver.Attr{{Key: "k", Value: "\"\\]\n"}}}
	stamp := at.Local().Format(time.Stamp)
	for _, tc := range []struct {
		style   Style
		framing Framing
		want    string
	}{
		{Unix, Datagram, "<27>" + stamp + " tag[42]: a\nb"},
		{Unix, Newline, "<27>" + stamp + " tag[42]: a#012b\n"},
		{RFC3164, Newline, "<27>" + stamp + " host tag[42]: a#012b\n"},
		{RFC3164, OctetCounting, "37 <27>" + stamp + " host tag[42]: a\nb"},
		{RFC5424, Datagram, "<27>1 2026-02-03T04:05:06Z host tag 42 stderr [logplug@32473 k=\"\\\"\\\\\\]\n\"] a\nb"},
		{RFC5424Micro, Newline, "<27>1 2026-02-03T04:05:06.123456Z host tag 42 stderr [logplug@32473 k=\"\\\"\\\\\\]#012\"] a#012b\n"},
		{RFC5424, OctetCounting, "77 <27>1 2026-02-03T04:05:06Z host tag 42 stderr [logplug@32473 k=\"\\\"\\\\\\]\n\"] a\nb"},
	} {
		got, ends := New(config(tc.style, tc.framing)).Append(nil, nil, m)
		if string(got) != tc.want || len(ends) != 1 || ends[0] != len(got) {
			t.Errorf("style %d, framing %d: %v\n got %q\nwant %q", tc.style, tc.framing, ends, got, tc.want)
		}
	}
}

func TestHeader(t *testing.T) {
	at := time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
	long := strings.Repeat("x", 60)
	for _, tc := range []struct {
		name string
		cfg  func(*Config)
		msg  logdriver.Message
		want string
	}{
		{"nothing", func(*Config) {}, logdriver.Message{}, "host tag 42 - - "},
		{"no names", func(c *Config) { c.Tag, c.Hostname = "", "" }, logdriver.Message{}, "- - 42 - - "},
		{"odd names", func(c *Config) { c.Tag, c.Hostname = "a b", "hö" }, logdriver.Message{}, `h__ a_b 42 - [logplug@32473 tag="a b"] `},
		{"long tag", func(c *Config) { c.Tag = long }, logdriver.Message{}, "host " + long[:48] + ` 42 - [logplug@32473 tag="` + long + `"] `},
		{"long source", func(*Config) {}, logdriver.Message{Source: long}, "host tag 42 " + long[:32] + ` [logplug@32473 source="` + long + `"] `},
		{"attributes", func(c *Config) { c.Attrs = []logdriver.Attr{{Key: "a", Value: "1"}} },
			logdriver.Message{Source: "stdout", Attrs: []logdriver.Attr{{Key: "b=", Value: "2"}}}, `host tag 42 stdout [logplug@32473 a="1" attr="b==2"] `},
		{"part", func(*Config) {}, logdriver.Message{Partial: logdriver.Partial{ID: "i", Ordinal: 2}},
			`host tag 42 - [logplug@32473 partial-id="i" partial-ordinal="2" partial-last="false"] `},
	} {
		cfg := config(RFC5424, Datagram)
		tc.cfg(&cfg)
		tc.msg.Timestamp = at
		got, _ := New(cfg).Append(nil, nil, &tc.msg)
		if want := "<30>1 2026-02-03T04:05:06Z " + tc.want; string(got) != want {
			t.Errorf("%s:\n got %q\nwant %q", tc.name, got, want)
		}
	}
}

// Attributes that leave no room for text come before it, in parts.
func TestLargeAttributes(t *testing.T) {
	cfg := config(RFC5424, Datagram)
	cfg.MaxBytes = MinBytes
	value := strings.Repeat("ä]", 500)
	at := time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
	m := &logdriver.Message{Line: []byte("text"), Timestamp: at, Attrs: []logdriver.Attr{{Key: "a", Value: "1"}, {Key: "k", Value: value}, {Key: "b", Value: "2"}}}
	b, ends := New(cfg).Append(nil, nil, m)
	var got strings.Builder
	start := 0
	for i, end := range ends {
		head, tail, ok := strings.Cut(string(b[start:end]), ` part="`+strconv.Itoa(i+1)+`" parts="`+strconv.Itoa(len(ends))+`"] `)
		if !ok || end-start > MinBytes || !utf8.ValidString(head) {
			t.Errorf("%q", b[start:end])
		}
		_, params, _ := strings.Cut(head, "[logplug@32473")
		got.WriteString(params + tail)
		start = end
	}
	want := ` a="1" k="` + strings.ReplaceAll(value, "]", `\]`) + `" b="2"text`
	if s := strings.ReplaceAll(got.String(), `" k="`, ""); strings.Replace(s, `="1`, `="1" k="`, 1) != want {
		t.Errorf("%d parts:\n got %s\nwant %s", len(ends), s, want)
	}
}

func TestValidSDID(t *testing.T) {
	for s, want := range map[string]bool{
		"logplug@32473": true, "a@1.2": true, "": false, "a": false, "a@": false, "@1": false, "a@b": false, "a b@1": false, "a=@1": false,
		strings.Repeat("a", 31) + "@1": false,
	} {
		if ValidSDID(s) != want {
			t.Errorf("%q: %v", s, !want)
		}
	}
}

// FuzzFormat parses what comes out: each frame is a message of RFC 5424 within the
// limit, and all of them have the line and the attributes.
func FuzzFormat(f *testing.F) {
	f.Add([]byte("a line"), "key", "value", "tag", "stdout", int64(1e18), uint16(0))
	f.Add(bytes.Repeat([]byte("ä"), 250), "k=]\"", "]\\\"\n", "", "", int64(-1), uint16(0))
	f.Add([]byte("a line"), "key", strings.Repeat("\x80", 8<<10), "tag", "stdout", int64(0), uint16(0))
	f.Fuzz(func(t *testing.T, line []byte, key, value, tag, source string, nanos int64, size uint16) {
		if len(tag) > MaxTag {
			return
		}
		cfg := config(RFC5424Micro, OctetCounting)
		cfg.Tag, cfg.MaxBytes = tag, MinBytes+int(size)
		m := &logdriver.Message{Line: line, Source: source, Timestamp: time.Unix(0, nanos), Attrs: []logdriver.Attr{{Key: key, Value: value}}}
		b, ends := New(cfg).Append(nil, nil, m)
		if !utf8.ValidString(key + " " + value + " " + tag + " " + source) {
			checkSizes(t, ends, cfg.MaxBytes)
			return // the contract has no others, so they need not be parsed
		}
		text, attr := checkFrames(t, b, ends, cfg.MaxBytes, m)
		if !bytes.Equal(text, line) {
			t.Errorf("the line is %q, not %q", text, line)
		}
		if name, want := param(m.Attrs[0]); !ownName(name) && attr != want {
			t.Errorf("the attribute %q is %q, not %q", name, attr, want)
		}
	})
}

// checkSizes checks that no frame is larger than a message of the most bytes with their
// number before it.
func checkSizes(t *testing.T, ends []int, most int) {
	t.Helper()
	start := 0
	for _, end := range ends {
		if end-start > most+len(strconv.Itoa(most))+1 {
			t.Errorf("a frame of %d bytes", end-start)
		}
		start = end
	}
}

// checkFrames returns the text of all frames, and the value of the attribute, which
// either every frame has or they have together.
func checkFrames(t *testing.T, b []byte, ends []int, most int, m *logdriver.Message) (text []byte, attr string) {
	t.Helper()
	start := 0
	name, value := param(m.Attrs[0])
	for _, end := range ends {
		length, msg, _ := bytes.Cut(b[start:end], []byte(" "))
		start = end
		if n, err := strconv.Atoi(string(length)); err != nil || n != len(msg) || n > most {
			t.Fatalf("a frame of %d bytes, at most %d, says %q", len(msg), most, length)
		}
		parsed, err := rfc5424.NewParser().Parse(msg)
		if err != nil {
			t.Fatalf("%q: %v", msg, err)
		}
		p := parsed.(*rfc5424.SyslogMessage)
		if *p.Priority != 27 && *p.Priority != 30 || !p.Timestamp.Equal(m.Timestamp.Truncate(time.Microsecond)) {
			t.Errorf("%q: priority %d, time %v, not %v", msg, *p.Priority, p.Timestamp, m.Timestamp)
		}
		if p.StructuredData != nil {
			attr = join(attr, (*p.StructuredData)["logplug@32473"][name], value)
		}
		if p.Message != nil {
			text = append(text, *p.Message...)
		}
	}
	if start != len(b) {
		t.Errorf("%d bytes are in no frame", len(b)-start)
	}
	return text, attr
}

// join adds what a frame has of a value to what the ones before have.
func join(before, piece, whole string) string {
	if piece == whole {
		return piece
	}
	return before + piece
}

// ownName tells whether the formatter has SD-PARAMs of that name too.
func ownName(name string) bool {
	return name == "part" || name == "parts" || name == "tag" || name == "source"
}

func BenchmarkAppend(b *testing.B) {
	f := New(config(RFC5424Micro, OctetCounting))
	m := &logdriver.Message{Line: bytes.Repeat([]byte("x"), 100), Source: "stdout", Timestamp: time.Unix(1_700_000_000, 0)}
	var buf []byte
	var ends []int
	b.ReportAllocs()
	for b.Loop() {
		buf, ends = f.Append(buf[:0], ends[:0], m)
	}
}
