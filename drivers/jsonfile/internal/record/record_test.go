package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/logplug/logplug/shared/logdriver"
)

var stamp = time.Date(2024, 2, 29, 23, 59, 58, 120_003_400, time.UTC)

func encode(f *Format, m *logdriver.Message) string {
	return string(f.NewEncoder().Append(nil, m))
}

func TestRecordIsDockers(t *testing.T) {
	attrs := []logdriver.Attr{{Key: "b", Value: "2"}, {Key: "a", Value: "é\""}}
	for _, tc := range []struct {
		name   string
		static []logdriver.Attr
		m      logdriver.Message
		want   string
	}{
		{"plain", nil, logdriver.Message{Line: []byte("hi"), Source: "stdout", Timestamp: stamp},
			`{"log":"hi\n","stream":"stdout","time":"2024-02-29T23:59:58.120003400Z"}`},
		{"empty", nil, logdriver.Message{Timestamp: stamp},
			`{"log":"\n","time":"2024-02-29T23:59:58.120003400Z"}`},
		{"attributes", attrs[:1], logdriver.Message{Line: []byte("x"), Source: "stderr", Timestamp: stamp, Attrs: attrs[1:]},
			`{"log":"x\n","stream":"stderr","attrs":{"b":"2","a":"é\""},"time":"2024-02-29T23:59:58.120003400Z"}`},
		{"control", nil, logdriver.Message{Line: []byte("\x00\x1b[1m\t\r\\\""), Timestamp: stamp},
			`{"log":"\u0000\u001b[1m\t\r\\\"\n","time":"2024-02-29T23:59:58.120003400Z"}`},
		{"invalid UTF-8", nil, logdriver.Message{Line: []byte("a\xffb"), Timestamp: stamp},
			"{\"log\":\"a\uFFFDb\\n\",\"time\":\"2024-02-29T23:59:58.120003400Z\",\"raw\":\"Yf9i\"}"},
		{"partial", nil, logdriver.Message{Line: []byte("a"), Timestamp: stamp, Partial: logdriver.Partial{ID: "i", Ordinal: 3}},
			`{"log":"a","time":"2024-02-29T23:59:58.120003400Z","partial":{"id":"i","ordinal":3,"last":false}}`},
		{"last partial", nil, logdriver.Message{Line: []byte("a"), Timestamp: stamp, Partial: logdriver.Partial{ID: "i", Ordinal: 3, Last: true}},
			`{"log":"a\n","time":"2024-02-29T23:59:58.120003400Z","partial":{"id":"i","ordinal":3,"last":true}}`},
		{"unterminated", nil, logdriver.Message{Line: []byte("a"), Timestamp: stamp, Unterminated: true},
			`{"log":"a","time":"2024-02-29T23:59:58.120003400Z","unterminated":true}`},
		{"other zone", nil, logdriver.Message{Timestamp: stamp.In(time.FixedZone("", 3600))},
			`{"log":"\n","time":"2024-02-29T23:59:58.120003400Z"}`},
		{"no time", nil, logdriver.Message{}, `{"log":"\n","time":"0001-01-01T00:00:00.000000000Z"}`},
		{"a time beyond RFC 3339", nil, logdriver.Message{Timestamp: stamp.AddDate(20000, 0, 0)},
			`{"log":"\n","time":"9999-03-01T23:59:58.120003400Z"}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := encode(New(tc.static), &tc.m)
			if got != tc.want+"\n" {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
			if !json.Valid([]byte(got)) || !utf8.ValidString(got) {
				t.Errorf("not JSON: %s", got)
			}
		})
	}
}

func TestDecode(t *testing.T) {
	const when = `"time":"2024-02-29T23:59:58.1200034Z"`
	for _, tc := range []struct {
		name, in string
		want     logdriver.Message
		bad      bool
	}{
		{name: "any order", in: `{` + when + `,"stream":"s","log":"a\n"}`, want: logdriver.Message{Line: []byte("a\n"), Source: "s"}},
		{name: "spaces", in: ` { "log" : "a\n" , ` + when + ` } `, want: logdriver.Message{Line: []byte("a\n")}},
		{name: "unknown fields", in: `{"log":"a\n","x":[1,{}],` + when + `}`, want: logdriver.Message{Line: []byte("a\n")}},
		{name: "surrogates", in: `{"log":"\ud83d\ude00\u00e9\n",` + when + `}`, want: logdriver.Message{Line: []byte("😀é\n")}},
		{name: "no log", in: `{"stream":"s",` + when + `}`, want: logdriver.Message{Source: "s", Partial: logdriver.Partial{ID: "line-1", Ordinal: 1}}},
		{name: "ordered attributes", in: `{"log":"\n","attrs":{"z":"1","a":"2\u0020"},` + when + `}`,
			want: logdriver.Message{Line: []byte("\n"), Attrs: []logdriver.Attr{{Key: "z", Value: "1"}, {Key: "a", Value: "2 "}}}},
		{name: "no time", in: `{"log":"a\n"}`, bad: true},
		{name: "bad date", in: `{"log":"a\n","time":"2023-02-29T23:59:58Z"}`, bad: true},
		{name: "torn", in: `{"log":"a\n","tim`, bad: true},
		{name: "two", in: `{"log":"a\n",` + when + `}{"log":"a\n",` + when + `}`, bad: true},
		{name: "foreign", in: `127.0.0.1 - GET /`, bad: true},
		{name: "wrong type", in: `{"log":5,` + when + `}`, bad: true},
		{name: "bad attribute", in: `{"log":"a\n","attrs":{"a":1},` + when + `}`, bad: true},
		{name: "bad raw", in: `{"log":"a\n","raw":"*",` + when + `}`, bad: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := logdriver.NewMessage()
			err := New(nil).NewDecoder().Decode([]byte(tc.in), m)
			if tc.bad != (err != nil) {
				t.Fatalf("error %v", err)
			}
			if err == nil {
				tc.want.Timestamp = stamp
				same(t, m, &tc.want)
			}
		})
	}
}

// Docker marks a part of a line by nothing but the missing newline.
func TestPartsWithoutMetadata(t *testing.T) {
	dec := New(nil).NewDecoder()
	var got []logdriver.Partial
	for _, r := range []struct{ source, log string }{
		{"out", `a`}, {"err", `x`}, {"out", `b`}, {"err", `y\n`}, {"out", `c\n`}, {"out", `d\n`}, {"out", `e`},
	} {
		m := logdriver.NewMessage()
		in := fmt.Sprintf(`{"log":"%s","stream":"%s","time":"2024-02-29T23:59:58Z"}`, r.log, r.source)
		if err := dec.Decode([]byte(in), m); err != nil {
			t.Fatal(err)
		}
		got = append(got, m.Partial)
	}
	want := []logdriver.Partial{
		{ID: "line-1", Ordinal: 1}, {ID: "line-2", Ordinal: 1}, {ID: "line-1", Ordinal: 2},
		{ID: "line-2", Ordinal: 2, Last: true}, {ID: "line-1", Ordinal: 3, Last: true}, {}, {ID: "line-3", Ordinal: 1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func same(t *testing.T, got, want *logdriver.Message) {
	t.Helper()
	if !bytes.Equal(got.Line, want.Line) || got.Source != want.Source || !got.Timestamp.Equal(want.Timestamp) ||
		got.Partial != want.Partial || got.Unterminated != want.Unterminated || len(got.Attrs) != len(want.Attrs) {
		t.Fatalf("got  %q %+v\nwant %q %+v", got.Line, got, want.Line, want)
	}
	for i := range got.Attrs {
		if got.Attrs[i] != want.Attrs[i] {
			t.Fatalf("attribute %d: got %q, want %q", i, got.Attrs[i], want.Attrs[i])
		}
	}
}

// FuzzDecode checks that what the fast decoder takes, after whatever else, is what encoding/json
// makes of it.
func FuzzDecode(f *testing.F) {
	const when = `"time":"2024-02-29T23:59:58.120003400Z"}`
	records := []string{
		`{"log":"a\n","stream":"stdout","time":"2024-02-29T23:59:58.1200034Z"}` + "\n",
		`{"log":"\u00e9\ud800\\\/\b\f","attrs":{"a":"b","c":"\n"},"time":"2024-02-29T23:59:58Z","raw":"YQ=="}`,
		`{"log":"x","time":"0000-01-01T00:00:00.0Z","partial":{"id":"i","ordinal":12,"last":true},"unterminated":true}`,
		`{"LOG":"x","time":"2024-02-29T23:59:58+01:00"}`, `{"log":null,"attrs":null,"time":null}`,
		`{"log":"a","log":"b","attrs":{},"attrs":{"a":"b"},"time":"2024-02-29T24:59:58Z"}`,
		`{"log":"` + "\xff\xed\xa0\x80" + `","time":"2024-02-29T3:59:58.12Z"}`, `{}`, `{"time":""}`, `{"time":"2024-02-29T23:59:58Z"}` + "\n",
		`{"log":"a\n","time":"2024-02-29T23:59:58Z","stream":"x.123456789Z"}`, `{"log":"b\n","time":"2024-02-29T23:59:58Z","stream":"x.987654321Z"}`,
		`{"log":"a\n","stream":"s",` + when, `{"log":"b\n","stream":"s",` + when + "\n", `{"log":"a\n","stream":"t",` + when,
		`{"stream":"s","log":"a\n",` + when, `{"log":"a\n",` + when, `{"log":"c","log":"a\n",` + when,
		`{"log":"a\n","attrs":{"k":"v"},"stream":"s",` + when, `{"attrs":{"k":"v"},"log":"a\n","stream":"s",` + when,
		`{"log":"a\n","raw":"YQ==","stream":"s",` + when, `{"log":"a\n","unterminated":true,` + when,
		`{"log":"a\n","stream":"s","time":"2024-02-29T23:59:58.12000340:Z"}`, `{"log":"a\n","stream":"s","time":"2024-02-29T23:59:58.1200034Z"}`,
		`{"log":"a\n","stream":"s","time":"2024-02-29T23:59:58.120003400Z","stream":"u"}`, `{"log":"a\n","stream":"s","time":"2024-02-29T23:59:58.120003400Z"}}`,
	}
	for _, before := range records {
		for _, r := range records {
			f.Add([]byte(before), []byte(r))
		}
	}
	f.Fuzz(func(t *testing.T, before, in []byte) {
		fast, slow := logdriver.NewMessage(), logdriver.NewMessage()
		d := &decoder{}
		d.fast(before, fast, new(extra))
		for range 2 { // the second time with what the first one left to be reused
			fast.Reset()
			var x, y extra
			if !d.fast(in, fast, &x) {
				return
			}
			slow.Reset()
			if err := (&decoder{}).slow(in, slow, &y); err != nil {
				t.Fatalf("taken, but %v", err)
			}
			same(t, fast, slow)
			if !bytes.Equal(x.raw, y.raw) || x.part != y.part || x.unterminated != y.unterminated {
				t.Fatalf("%+v, %+v", x, y)
			}
		}
	})
}

// FuzzRoundTrip checks that messages come back as they were, and that what
// others read is JSON with the same text.
func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte("hello"), "stdout", "", "", int64(1), uint8(0))
	f.Add([]byte("\x00\xff\r\n\u2028"), "é", "k", "v\"", int64(-1), uint8(3))
	f.Add([]byte("\n"), "", "k", "", int64(1<<62), uint8(7))
	f.Fuzz(func(t *testing.T, line []byte, source, key, value string, nano int64, bits uint8) {
		m := logdriver.Message{Line: line, Source: strings.ToValidUTF8(source, ""), Timestamp: time.Unix(0, nano)}
		if key = strings.ToValidUTF8(key, ""); key != "" {
			m.Attrs = []logdriver.Attr{{Key: key, Value: strings.ToValidUTF8(value, "")}}
		}
		if bits&1 != 0 {
			m.Partial = logdriver.Partial{ID: "id", Ordinal: int(bits), Last: bits&2 != 0}
		}
		m.Unterminated = bits&4 != 0
		text := encode(New(nil), &m)
		if strings.Count(text, "\n") != 1 {
			t.Fatalf("not one line: %q", text)
		}
		var docker struct{ Log string }
		if err := json.Unmarshal([]byte(text), &docker); err != nil {
			t.Fatal(err)
		}
		want := m
		if !m.Partial.More() && !m.Unterminated {
			want.Line = append(append([]byte(nil), line...), '\n')
		}
		if docker.Log != string([]rune(string(want.Line))) {
			t.Fatalf("others read %q", docker.Log)
		}
		got := logdriver.NewMessage()
		if err := New(nil).NewDecoder().Decode([]byte(text), got); err != nil {
			t.Fatal(err)
		}
		same(t, got, &want)
	})
}

func TestDecodeDoesNotAllocate(t *testing.T) {
	var records [][]byte
	e := New(nil).NewEncoder()
	for i := range 100 {
		m := sample()
		m.Timestamp = m.Timestamp.Add(time.Duration(i) * time.Second / 2)
		records = append(records, e.Append(nil, m))
	}
	d, got := New(nil).NewDecoder(), logdriver.NewMessage()
	allocs := testing.AllocsPerRun(10, func() {
		for _, r := range records {
			got.Reset()
			if err := d.Decode(r, got); err != nil {
				t.Fatal(err)
			}
		}
	})
	if allocs > 0 {
		t.Errorf("%v allocations for %d records", allocs, len(records))
	}
	for i, c := range d.(*decoder).commons {
		if n := len(c.text); n == 0 || n > len(records[0]) {
			t.Errorf("%d bytes are remembered in place %d of records of %d", n, i, len(records[0]))
		}
	}
}

// What a codec remembers of other records does not change what it does.
func TestCodecsAreLikeFreshOnes(t *testing.T) {
	format := New([]logdriver.Attr{{Key: "job", Value: "x.123456789Z"}})
	e, d := format.NewEncoder(), format.NewDecoder()
	attrs := []logdriver.Attr{{Key: "k", Value: "v"}}
	seconds := []time.Time{
		{}, time.Unix(-1, 5), time.Unix(0, 0), time.Unix(0, 999999999), time.Unix(1, 0), stamp.AddDate(20000, 0, 0), stamp.AddDate(-3000, 0, 0), stamp,
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		m := &logdriver.Message{
			Line: []byte("a"), Source: []string{"", "stdout", "stderr", "é"}[rng.IntN(4)],
			Timestamp: seconds[rng.IntN(len(seconds))], Attrs: attrs[:rng.IntN(2)], Unterminated: rng.IntN(8) == 0,
		}
		text := e.Append(nil, m)
		if want := encode(format, m); string(text) != want {
			t.Fatalf("encoded as\n%sa fresh encoder does\n%s", text, want)
		}
		got, want := logdriver.NewMessage(), logdriver.NewMessage()
		if err := errors.Join(d.Decode(text, got), format.NewDecoder().Decode(text, want)); err != nil {
			t.Fatal(err)
		}
		same(t, got, want)
	}
}

func sample() *logdriver.Message {
	return &logdriver.Message{Line: bytes.Repeat([]byte("0123456789"), 10), Source: "stdout", Timestamp: stamp}
}

func BenchmarkEncode(b *testing.B) {
	e, m := New(nil).NewEncoder(), sample()
	buf := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		m.Timestamp = m.Timestamp.Add(time.Microsecond)
		buf = e.Append(buf[:0], m)
	}
}

// Two sources in turns.
func BenchmarkAlternating(b *testing.B) {
	e, d, m := New(nil).NewEncoder(), New(nil).NewDecoder(), sample()
	buf := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		for _, m.Source = range []string{"stdout", "stderr"} {
			buf = e.Append(buf[:0], m)
			got := logdriver.NewMessage()
			if err := d.Decode(buf, got); err != nil {
				b.Fatal(err)
			}
			logdriver.PutMessage(got)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, attrs := range [][]logdriver.Attr{nil, {{Key: "job", Value: "build"}}} {
		b.Run(fmt.Sprintf("attrs=%d", len(attrs)), func(b *testing.B) {
			text := []byte(encode(New(attrs), sample()))
			d, m := New(nil).NewDecoder(), logdriver.NewMessage()
			b.ReportAllocs()
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				m.Reset()
				if err := d.Decode(text, m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
