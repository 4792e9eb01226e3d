//go:build linux

package containerd

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/logplug/logplug/host/cmd/logplug/internal/jobs"
)

// A note that cannot be read is kept for the next look; one of a job that there is not goes.
func TestEndedKeepsWhatItCannotRead(t *testing.T) {
	t.Parallel()
	store := jobs.NewStore(t.TempDir())
	unreadable, gone := filepath.Join(endedDir(store), "unreadable"), filepath.Join(endedDir(store), "gone")
	if err := os.MkdirAll(unreadable, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(gone, []byte("run\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if ended, err := Ended(store); err == nil || len(ended) > 0 {
		t.Errorf("%v, %v", ended, err)
	}
	if _, err := os.Stat(unreadable); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(gone); !os.IsNotExist(err) {
		t.Errorf("the note of no job: %v", err)
	}
}
