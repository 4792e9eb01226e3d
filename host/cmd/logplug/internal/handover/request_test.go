//go:build linux

package handover

import (
	"slices"
	"strings"
	"testing"
)

func TestRequest(t *testing.T) {
	want := Request{ID: "web", Namespace: "default", Settings: []string{"driver", "jsonfile", "containerd", "", "opt.x", "a=b"}}
	packet, err := want.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	got, err := Unmarshal(packet)
	if err != nil || got.ID != want.ID || got.Namespace != want.Namespace || !slices.Equal(got.Settings, want.Settings) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, r := range []Request{
		{ID: "x", Settings: []string{strings.Repeat("x", MaxPacket)}},
		{ID: "x", Settings: make([]string, maxFields)},
	} {
		if _, err := r.Marshal(); err == nil {
			t.Error("a request was accepted that is too large")
		}
	}
}

func FuzzUnmarshal(f *testing.F) {
	r := Request{ID: "web", Namespace: "n", Settings: []string{"a", "b"}}
	packet, err := r.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(packet)
	f.Fuzz(func(t *testing.T, packet []byte) {
		r, err := Unmarshal(packet)
		if err != nil {
			return
		}
		if again, err := r.Marshal(); err != nil || string(again) != string(packet) {
			t.Errorf("%q became %q, %v", packet, again, err)
		}
	})
}
