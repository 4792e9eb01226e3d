package host

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/hashicorp/go-hclog"
)

// TestDeadLettersSurvivePowerLoss as the messages do that leave the spool for them: a
// letter is synced, and the file's name.
func TestDeadLettersSurvivePowerLoss(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "letters.jsonl")
	var synced []string
	durable := int64(0)
	l := &letters{path: path, limit: 1 << 20, log: hclog.NewNullLogger(), sync: func(f *os.File) error {
		synced = append(synced, f.Name())
		if f.Name() == path {
			st, err := f.Stat()
			durable = st.Size()
			return err
		}
		return nil
	}}
	for range 2 {
		l.add([]DeadLetter{{Driver: "x", Line: []byte("text")}})
		if st, err := os.Stat(path); err != nil || st.Size() != durable {
			t.Fatalf("%d bytes are durable: %v", durable, err)
		}
	}
	if !slices.Equal(synced, []string{path, dir, path}) {
		t.Errorf("synced %q", synced)
	}
}

// TestDurabilityFollowsTheSpool: whoever wants messages to survive a loss of power
// wants it of what is kept about them.
func TestDurabilityFollowsTheSpool(t *testing.T) {
	for policy, want := range map[SyncPolicy]bool{SyncNone: false, SyncInterval: true, SyncAlways: true} {
		h, err := New(Config{Spool: SpoolConfig{Dir: t.TempDir(), Sync: policy}})
		if err != nil {
			t.Fatal(err)
		}
		if h.spool.durable != want || (h.letters.sync != nil) != want {
			t.Errorf("%s: records are durable: %v, dead letters: %v", policy, h.spool.durable, h.letters.sync != nil)
		}
		if err := h.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
