package host_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/logplug/logplug/host"
)

// TestTornDeadLetter: one that was cut off, because its host was killed or the disk
// was full, takes no other with it.
func TestTornDeadLetter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "letters.jsonl")
	h := newHost(t, func(c *host.Config) { c.DeadLetters = path })
	info, _ := sinkInfo(t, map[string]string{"reject-on": "bad"})
	l := open(t, h, "sink", info)
	reject := func(text string) {
		logLine(t, l, "%s", text)
		if err := l.Flush(testContext(t)); err != nil {
			t.Fatal(err)
		}
	}
	reject("bad 1")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(whole, whole[:len(whole)/2]...), 0o600); err != nil {
		t.Fatal(err)
	}
	reject("bad 2")
	reject("bad 3")
	var got []string
	torn := 0
	for d, err := range host.ReadDeadLetters(path) {
		if err != nil {
			torn++
			continue
		}
		got = append(got, string(d.Line))
	}
	if len(got) != 3 || got[1] != "bad 2" || got[2] != "bad 3" || torn != 1 {
		t.Errorf("got %q and %d torn ones", got, torn)
	}
}
