//go:build unix

package letters

import (
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// TestHeldForAMoment takes what a process has taken that was killed, while children that
// it was starting still hold its lock.
func TestHeldForAMoment(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := NewFile(filepath.Join(t.TempDir(), "letters"))
		write(t, f.Path(), "a")
		children := take(t, f).lock
		time.AfterFunc(time.Second, func() { _ = children.Close() }) // passes at once
		if err := take(t, f).Close(); err != nil {
			t.Error(err)
		}
		wantTexts(t, f, "a")
	})
}
