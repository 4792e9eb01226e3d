package logfile

import (
	"context"
	"errors"
	"os"
	"syscall"
	"testing"

	"github.com/logplug/logplug/shared/logdriver"
)

// Flush is for the files, too, that have become full since the last one. Those that
// cannot be opened show that it wants to.
func TestFlushOfFullFiles(t *testing.T) {
	for _, compress := range []bool{false, true} {
		cfg := config(t)
		cfg.MaxSize, cfg.MaxFiles, cfg.Compress = 1, 4, compress // one message a file
		l := mustOpen(t, cfg)
		flush := func(want error) {
			t.Helper()
			if err := l.Flush(context.Background()); !errors.Is(err, want) {
				t.Errorf("got %v, want %v", err, want)
			}
		}
		add(t, l, 0, 10) // more than are kept
		second, aside := l.names.file(2), cfg.Path+".aside"
		if compress {
			second = l.names.packed(2)
			until(t, "compressed", func() bool { return l.uncompressed(nil) == 0 })
		}
		spoil := func() {
			t.Helper()
			if err := errors.Join(os.Rename(second, aside), os.Symlink(second, second)); err != nil {
				t.Fatal(err)
			}
		}
		spoil()
		flush(syscall.ELOOP)
		flush(syscall.ELOOP)
		if err := os.Rename(aside, second); err != nil {
			t.Fatal(err)
		}
		flush(nil)
		spoil()
		flush(nil) // once is enough
		if err := os.Rename(aside, second); err != nil {
			t.Fatal(err)
		}
		l.Close()
		flush(logdriver.ErrClosed)
	}
}
