package jobs

import (
	"errors"
	"io/fs"
	"os"
	"testing"
)

// TestRemovalInterrupted: who removes a log for long has not the lock, and what it leaves
// when it is killed goes with the next.
func TestRemovalInterrupted(t *testing.T) {
	t.Parallel()
	s := NewStore(t.TempDir())
	for _, id := range []string{"a", "b"} {
		if err := claim(t, s, id).Finish(0, "", ""); err != nil {
			t.Fatal(err)
		}
		writeLog(t, s, id)
	}
	aside, err := s.unlist("a") // it is killed here
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(aside); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.LogDir("a")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the log is still there: %v", err)
	}
	claim(t, s, "a")
	writeLog(t, s, "a")
	if err := s.Remove("b"); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(s.logsDir())
	if err != nil || len(left) != 1 || left[0].Name() != "a" {
		t.Errorf("there are %v, %v, want only the log of the new job", left, err)
	}
}
