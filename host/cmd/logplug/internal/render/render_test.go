package render

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/logplug/logplug/shared/logdriver"
)

var at = time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)

func message(source, line string) *logdriver.Message {
	return &logdriver.Message{Source: source, Line: []byte(line), Timestamp: at}
}

func print(t *testing.T, p Printer, messages ...*logdriver.Message) {
	t.Helper()
	for _, m := range messages {
		if err := p.Print(m); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Flush(); err != nil {
		t.Fatal(err)
	}
}

func TestTextStreams(t *testing.T) {
	t.Parallel()
	var out, err bytes.Buffer
	print(t, newText(&out, &err, false, TextOptions{}),
		message("stdout", "a\x00\xff\r\n"), message("stderr", "b\n"), message("other", "c\n"), message("stdout", "end"))
	if out.String() != "a\x00\xff\r\nend" || err.String() != "b\nc\n" {
		t.Errorf("stdout %q, stderr %q", out.String(), err.String())
	}
}

func TestTextSameOutputKeepsOrder(t *testing.T) {
	t.Parallel()
	var both bytes.Buffer
	print(t, newText(&both, &both, true, TextOptions{}),
		message("stdout", "1\n"), message("stderr", "2\n"), message("stdout", "3\n"), message("stderr", "4\n"))
	if both.String() != "1\n2\n3\n4\n" {
		t.Errorf("got %q", both.String())
	}
}

func TestTextPrefix(t *testing.T) {
	t.Parallel()
	const stamp = "2026-01-02T03:04:05.000000006Z "
	part1, part2, foreign := message("stdout", "long "), message("stdout", "line\n"), message("stderr", "x\n")
	part1.Partial = logdriver.Partial{ID: "p", Ordinal: 1}
	part2.Partial = logdriver.Partial{ID: "p", Ordinal: 2, Last: true}
	part1.Attrs = []logdriver.Attr{{Key: "a b", Value: "1,2"}, {Key: "c", Value: "="}}
	var out, err bytes.Buffer
	print(t, newText(&out, &err, false, TextOptions{Timestamps: true, Details: true}), part1, foreign, part2, message("stdout", "\n"))
	want := stamp + "a+b=1%2C2,c=%3D long line\n" + stamp + " \n"
	if out.String() != want {
		t.Errorf("stdout %q, want %q", out.String(), want)
	}
	if want := stamp + " x\n"; err.String() != want {
		t.Errorf("stderr %q, want %q", err.String(), want)
	}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	m := message("stderr", "<a>\xff\n")
	m.Partial = logdriver.Partial{ID: "p", Ordinal: 2, Last: true}
	m.Attrs = []logdriver.Attr{{Key: "k", Value: "v"}}
	end := message("stdout", "end")
	end.Unterminated = true
	var out bytes.Buffer
	print(t, NewJSON(&out), m, end)
	dec := json.NewDecoder(&out)
	var first, second record
	if err := dec.Decode(&first); err != nil {
		t.Fatal(err)
	}
	if err := dec.Decode(&second); err != nil {
		t.Fatal(err)
	}
	if first.Line != "<a>\uFFFD" || string(first.Raw) != "<a>\xff" || first.Attrs["k"] != "v" || !first.Partial.Last ||
		first.Partial.Ordinal != 2 || !first.Time.Equal(at) || first.Source != "stderr" {
		t.Errorf("got %+v", first)
	}
	if second.Line != "end" || second.Raw != nil || second.Partial != nil || !second.Unterminated {
		t.Errorf("got %+v", second)
	}
}
