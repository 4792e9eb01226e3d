package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/logplug/logplug/host/internal/spool"
	"github.com/logplug/logplug/shared/logdriver"
	"github.com/logplug/logplug/shared/wire"
)

// TestRemoveSpool: one that has messages stays.
func TestRemoveSpool(t *testing.T) {
	t.Parallel()
	for _, messages := range []int{0, 1} {
		dir := filepath.Join(t.TempDir(), "spool")
		d, _, err := spool.Open(dir, aloneSpool)
		if err != nil {
			t.Fatal(err)
		}
		for range messages {
			m := logdriver.NewMessage()
			m.Borrow([]byte("left"))
			if _, _, err := spool.New(d, spool.Stream{1}).Append(m, wire.Measure(m)); err != nil {
				t.Fatal(err)
			}
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		removed, err := removeSpool(dir)
		if err != nil || removed != (messages == 0) {
			t.Errorf("with %d messages: %v, %v", messages, removed, err)
		}
		entries, err := os.ReadDir(filepath.Dir(dir))
		if err != nil || len(entries) != messages {
			t.Errorf("with %d messages, there are %v: %v", messages, entries, err)
		}
	}
}

func TestAwaitSpool(t *testing.T) {
	t.Parallel()
	const limit = 10 * time.Second
	other := errors.New("other")
	for name, c := range map[string]struct {
		err     error
		tries   int // that fail
		success bool
	}{
		"in use for a while":  {fmt.Errorf("open: %w", spool.ErrInUse), int(limit / spoolRetry / 2), true},
		"in use for too long": {fmt.Errorf("open: %w", spool.ErrInUse), int(limit / spoolRetry * 2), false},
		"removed":             {fmt.Errorf("open: %w", fs.ErrNotExist), 1, true},
		"never there":         {fmt.Errorf("open: %w", fs.ErrNotExist), 100, false},
		"another error":       {other, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				tries := 0
				err := awaitSpool(limit, func() error {
					if tries++; tries <= c.tries {
						return c.err
					}
					return nil
				})
				if (err == nil) != c.success || err != nil && err != c.err {
					t.Errorf("after %d tries: %v", tries, err)
				}
			})
		})
	}
}
