package wire

import (
	"strings"
	"testing"
)

func TestAttachRoundTrip(t *testing.T) {
	want := Attachment{PID: 7, Network: "unix", Address: "/tmp/a b'\"/s", Protocol: MaxProtocol}
	got, err := ParseAttach(FormatAttach("x-1", want))
	if err != nil || len(got) != 1 || got["x-1"] != want {
		t.Errorf("ParseAttach = %+v, %v", got, err)
	}
	if got, err := ParseAttach(""); err != nil || len(got) != 0 {
		t.Errorf("nothing: %+v, %v", got, err)
	}
}

func TestParseAttachRefuses(t *testing.T) {
	good := Attachment{PID: 7, Network: "unix", Address: "/s", Protocol: 1}
	change := func(f func(*Attachment)) string { a := good; f(&a); return FormatAttach("x", a) }
	for want, text := range map[string]string{
		"single quotes":     "x",
		"a name consists":   FormatAttach("X", good),
		"pid is 0":          change(func(a *Attachment) { a.PID = 0 }),
		`network is "tcp"`:  change(func(a *Attachment) { a.Network = "tcp" }),
		"absolute":          change(func(a *Attachment) { a.Address = "s" }),
		"serves protocol 0": change(func(a *Attachment) { a.Protocol = 0 }),
		"exceed the limit":  strings.Repeat(" ", maxAttachBytes+1),
	} {
		if _, err := ParseAttach(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("err = %v, want %q", err, want)
		}
	}
}
