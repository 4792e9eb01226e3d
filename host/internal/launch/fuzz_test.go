package launch

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/logplug/logplug/shared/wire"
)

// FuzzDescription: the JSON of a program that may be no driver. What is accepted
// keeps to the limits and can be written and read again.
func FuzzDescription(f *testing.F) {
	f.Add([]byte(`{"name":"a","protocol":{"min":1,"max":1},"options":[{"name":"o","type":"enum","values":["x"],"secret":true}]}`))
	f.Add([]byte(`{"name":"../x","protocol":{"min":1,"max":1}}`))
	f.Add([]byte(`{"name":"a","protocol":{"min":2,"max":1},"options":[null,{"name":""}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := parseDescription(text)
		if err != nil {
			return
		}
		if !wire.ValidName(d.Name) || len(d.Options) > maxOptions || d.Protocol.Min > d.Protocol.Max {
			t.Fatalf("accepted %+v", d)
		}
		again, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		e, err := parseDescription(again)
		if err != nil {
			t.Fatalf("%s: %v", again, err)
		}
		if third, err := json.Marshal(e); err != nil || !reflect.DeepEqual(again, third) {
			t.Fatalf("%s becomes %s, %v", again, third, err)
		}
	})
}

// FuzzStdio: messages of go-plugin's stream of a driver's output.
func FuzzStdio(f *testing.F) {
	f.Add([]byte("\x08\x01\x12\x03abc"))
	f.Add([]byte("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x12\x7f"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if _, data := parseStdio(raw); len(data) > len(raw) {
			t.Fatalf("%d bytes of %d", len(data), len(raw))
		}
	})
}
