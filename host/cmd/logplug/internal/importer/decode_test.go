package importer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/logplug/logplug/host/cmd/logplug/internal/docker/frame"
	"github.com/logplug/logplug/shared/logdriver"
)

// got is what a test sees of an entry.
type got struct {
	Line, Source string
	Nano         int64
	More         bool
	Attrs        string
}

// decodeAll decodes a file, and returns also its damage and how many bytes are left.
func decodeAll(t testing.TB, f Format, data []byte) (list []got, damage Damage, left int64) {
	t.Helper()
	in, d, e := newInput(bytes.NewReader(data)), f.decoder(), new(entry)
	for {
		err := d.next(in, e)
		if errors.Is(err, io.EOF) {
			return list, in.damage, int64(len(data)) - in.offset
		}
		if err != nil {
			t.Fatal(err)
		}
		g := got{Line: string(e.line), Source: e.source, Nano: e.time.UnixNano(), More: e.more}
		for _, a := range e.attrs {
			g.Attrs += a.Key + "=" + a.Value + ";"
		}
		list = append(list, g)
	}
}

// local returns a record of Docker's local driver.
func local(line, source string, nano int64, p logdriver.Partial) []byte {
	m := &logdriver.Message{Line: []byte(line), Source: source, Timestamp: time.Unix(0, nano), Partial: p}
	b := frame.Append(nil, m)
	return binary.BigEndian.AppendUint32(b, uint32(len(b)-frame.HeaderBytes))
}

const at = "2026-01-02T03:04:05.000000006Z"

var atNano = time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC).UnixNano()

func TestDecode(t *testing.T) {
	part := logdriver.Partial{ID: "p", Ordinal: 1}
	records := string(local("one", "stdout", atNano, part)) + string(local("two", "stderr", atNano, logdriver.Partial{}))
	want := []got{{"one", "stdout", atNano, true, ""}, {"two", "stderr", atNano, false, ""}}
	for name, c := range map[string]struct {
		format Format
		data   string
		want   []got
		damage Damage
		left   int64
	}{
		"json": {
			DockerJSON, `{"log":"one","stream":"stdout","time":"` + at + `"}` + "\n" +
				`{"log":"two\n","stream":"stderr","attrs":{"b":"2","a":"1"},"time":"` + at + `"}` + "\n",
			[]got{{"one", "stdout", atNano, true, ""}, {"two", "stderr", atNano, false, "a=1;b=2;"}}, Damage{}, 0,
		},
		"json damaged": {
			DockerJSON, "garbage\n{}\n\n" + `{"log":"two\n","stream":"stderr","time":"` + at + `"}` + "\n" + `{"log":"to`,
			want[1:], Damage{1, 11}, 10,
		},
		"json without newline": {
			DockerJSON, `{"log":"two\n","stream":"stderr","time":"` + at + `"}`, want[1:], Damage{}, 0,
		},
		"json bytes":    {DockerJSON, `{"log":"\ufffd\n","raw":"/wo=","stream":"stderr","time":"` + at + `"}`, []got{{"\xff", "stderr", atNano, false, ""}}, Damage{}, 0},
		"local":         {DockerLocal, records, want, Damage{}, 0},
		"local damaged": {DockerLocal, "xyz" + records + "\x00\x00" + records, append(want, want...), Damage{2, 5}, 0},
		"local huge length": {
			DockerLocal, "\xff\xff\xff\xff" + records + "\x00\x0f\x00\x00" + records, append(want, want...), Damage{2, 8}, 0,
		},
		"local zeros": {DockerLocal, records + strings.Repeat("\x00", 5000), want, Damage{1, 4997}, 3},
		"local torn":  {DockerLocal, records[:len(records)-3], want[:1], Damage{}, int64(len(local("two", "stderr", atNano, logdriver.Partial{}))) - 3},
		"cri": {
			CRI, at + " stdout P one\n" + at + " stderr F two\n", want, Damage{}, 0,
		},
		"cri damaged": {
			CRI, "stdout F x\n" + at + " stdin F x\n" + at + " stderr X x\n1600-01-01T00:00:00Z stderr F x\n" + at + " stderr F:k=v two\n" + at + " stderr F\n" + at + " std",
			[]got{want[1], {"", "stderr", atNano, false, ""}}, Damage{1, 126}, 34,
		},
	} {
		t.Run(name, func(t *testing.T) {
			list, damage, left := decodeAll(t, c.format, []byte(c.data))
			if d := cmp.Diff(c.want, list); d != "" {
				t.Error(d)
			}
			if damage != c.damage || left != c.left {
				t.Errorf("damage %v, left %d; want %v, %d", damage, left, c.damage, c.left)
			}
		})
	}
}

// TestLongRecords: what is longer than any record is skipped without being held.
func TestLongRecords(t *testing.T) {
	record := `{"log":"two\n","stream":"stderr","time":"` + at + `"}` + "\n"
	long := `{"log":"` + strings.Repeat("x", 2<<20) + `\n","stream":"stdout","time":"` + at + `"}` + "\n"
	list, damage, _ := decodeAll(t, DockerJSON, []byte(long+strings.Repeat("y", maxRecord+1)+"\n"+record))
	if len(list) != 2 || len(list[0].Line) != 2<<20 || damage != (Damage{1, maxRecord + 2}) {
		t.Errorf("%d records, damage %v", len(list), damage)
	}
}

func TestDetectFormats(t *testing.T) {
	for data, want := range map[string]Format{
		`{"log":"a\n","stream":"stdout","time":"` + at + `"}` + "\n": DockerJSON,
		string(local("a", "stdout", atNano, logdriver.Partial{})):    DockerLocal,
		at + " stdout F a\n":                           CRI,
		"hello\n":                                      "",
		"x" + at + " stdout F a\n":                     "",
		`{"log":"a","stream":"stdout"}` + "\n":         "",
		"hello\n" + at + " stdout F a\n":               "",
		strings.Repeat("\x00", 100):                    "",
		"\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01": "",
	} {
		f, ok, err := detect(strings.NewReader(data))
		if err != nil || ok != (want != "") || f != want {
			t.Errorf("%.30q: %q, %v, %v; want %q", data, f, ok, err, want)
		}
	}
}

func FuzzDockerJSON(f *testing.F) {
	f.Add([]byte(`{"log":"a\n","stream":"stdout","time":"` + at + `"}` + "\n{"))
	fuzz(f, DockerJSON)
}

func FuzzDockerLocal(f *testing.F) {
	f.Add(append(local("one", "stdout", 5, logdriver.Partial{ID: "p", Ordinal: 1}), 0, 0, 0, 9))
	fuzz(f, DockerLocal)
}

func FuzzCRI(f *testing.F) {
	f.Add([]byte(at + " stdout P one\n" + at + " stderr F:a two\n"))
	fuzz(f, CRI)
}

// fuzz: whatever comes in, every byte is decoded, damaged or left, and a good record
// behind it is found if what is left does not hold it.
func fuzz(f *testing.F, format Format) {
	good := map[Format][]byte{
		DockerJSON:  []byte("\n" + `{"log":"good\n","stream":"stdout","time":"` + at + `"}` + "\n"),
		DockerLocal: local("good", "stdout", atNano, logdriver.Partial{}),
		CRI:         []byte("\n" + at + " stdout F good\n"),
	}[format]
	f.Fuzz(func(t *testing.T, data []byte) {
		list, damage, left := decodeAll(t, format, data)
		if damage.Bytes < 0 || left < 0 || damage.Bytes+left > int64(len(data)) {
			t.Fatalf("%d records, damage %v, left %d of %d bytes", len(list), damage, left, len(data))
		}
		list, _, left = decodeAll(t, format, append(bytes.Clone(data), good...))
		// A record that the input begins may take the good one in.
		if format != DockerLocal && left == 0 && (len(list) == 0 || list[len(list)-1].Line != "good") {
			t.Fatalf("the record behind %q was not found", data)
		}
	})
}
