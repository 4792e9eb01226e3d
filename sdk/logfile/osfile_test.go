package logfile

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A pipe in the place of a file is an error, not something to wait for.
func TestPipeInPlaceOfLog(t *testing.T) {
	t.Parallel()
	for _, key := range []uint64{0, 1} {
		cfg := config(t)
		mustOpen(t, cfg).Close()
		name := cfg.names().file(key)
		if err := unix.Unlink(cfg.Path); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mkfifo(name, 0o600); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() {
			_, err := OpenReader(cfg)
			done <- err
		}()
		select {
		case err := <-done:
			if err == nil || !strings.Contains(err.Error(), "regular file") {
				t.Error(err)
			}
		case <-time.After(patience):
			t.Fatal("opening waits")
		}
	}
}
