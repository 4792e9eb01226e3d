package cli

import (
	"strings"
	"testing"
)

func TestNoticesBeginLines(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	n := &notices{w: &out}
	n.Printf("one\n  two\r\n\x1b[31mthree")
	_, _ = n.Write([]byte("output"))
	n.Printf("four")
	_, _ = n.Write([]byte("line\n"))
	n.Printf("five")
	want := "logplug: one | two | \uFFFD[31mthree\noutput\nlogplug: four\nline\nlogplug: five\n"
	if out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

func TestHostLogHoldsBack(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	l := &hostLog{notices: &notices{w: &out}}
	for _, record := range []string{"[WARN]  jsonfile: odd: a=1\n", "[ERROR] bad: stack=\n  | x\n"} {
		if _, err := l.Write([]byte(record)); err != nil {
			t.Fatal(err)
		}
	}
	if out.Len() > 0 {
		t.Errorf("too early: %q", out.String())
	}
	l.release()
	want := "logplug: warning: jsonfile: odd: a=1\nlogplug: error: bad: stack= | | x\n"
	if out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

func TestTableIsAligned(t *testing.T) {
	t.Parallel()
	tab := &table{colored: true}
	tab.add(cell{"A", bold}, cell{text: "B"})
	tab.add(cell{"äöü", green}, cell{text: "x\ny"})
	if want := "\x1b[1mA\x1b[0m    B\n\x1b[32mäöü\x1b[0m  x | y\n"; tab.String() != want {
		t.Errorf("got %q, want %q", tab.String(), want)
	}
}
