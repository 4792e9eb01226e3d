package spool

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/logplug/logplug/shared/logdriver"
)

// durableNames is what a file system has after a loss of power: what was synced.
type durableNames struct {
	t     *testing.T
	files map[string]string   // contents, by the path at the time
	names map[string][]string // of directories
}

func (n *durableNames) sync(f *os.File) error {
	entries, err := os.ReadDir(f.Name())
	if err != nil {
		text, err := os.ReadFile(f.Name())
		n.files[f.Name()] = string(text)
		return err
	}
	n.names[f.Name()] = nil
	for _, e := range entries {
		n.names[f.Name()] = append(n.names[f.Name()], e.Name())
	}
	return nil
}

func (n *durableNames) has(path string) {
	n.t.Helper()
	for _, name := range n.names[filepath.Dir(path)] {
		if name == filepath.Base(path) {
			return
		}
	}
	n.t.Errorf("after a loss of power, %s is not there", path)
}

// TestRecordsSurvivePowerLoss: before its first message is accepted, a stream's record
// is durable, with all names on the way to it.
func TestRecordsSurvivePowerLoss(t *testing.T) {
	parent := t.TempDir()
	d, _, err := Open(filepath.Join(parent, "spool"), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	n := &durableNames{t: t, files: make(map[string]string), names: make(map[string][]string)}
	d.sync = n.sync
	for i := range byte(3) {
		s := Stream{i}
		if err := d.Remember(s, Record{Driver: "x", Info: logdriver.Info{ContainerName: "c"}}, true); err != nil {
			t.Fatal(err)
		}
		path := d.recordPath(s)
		n.has(path)
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := n.files[path+".tmp"]; got != string(want) {
			t.Errorf("after a loss of power, the record is %q, want %q", got, want)
		}
	}
	n.has(d.Path())
	n.has(filepath.Join(d.Path(), loggersDir))
	n.has(filepath.Join(d.Path(), dataFile))

	d.sync = func(*os.File) error { t.Error("synced, though nobody asked for it"); return nil }
	if err := d.Remember(Stream{9}, Record{Driver: "x"}, false); err != nil {
		t.Fatal(err)
	}
}
