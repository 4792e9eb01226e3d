package logfile

import (
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/logplug/logplug/shared/logdriver"
)

// cut is a tracker of a log that another program truncates once it has been opened.
type cut struct {
	tracker
	t    *testing.T
	name string
	size int64
}

func (c *cut) snapshot() ([]*generation, error) {
	gens, err := c.tracker.snapshot()
	if err := os.Truncate(c.name, c.size); err != nil {
		c.t.Error(err)
	}
	return gens, err
}

// A file that becomes shorter while it is read does not seem to end there, and what
// follows it is read.
func TestTruncatedWhileRead(t *testing.T) {
	t.Parallel()
	for slot, want := range [][]string{
		slices.Concat(texts(10, 16), []string{"truncated"}),
		slices.Concat(texts(10, 12), []string{"truncated"}, texts(14, 18)),
	} {
		for _, track := range []func(*Log) tracker{
			func(l *Log) tracker { return newRemote(&l.cfg) },
			func(l *Log) tracker { return local{l} },
		} {
			cfg := config(t)
			cfg.MaxSize, cfg.MaxFiles = size(10, 14), 3
			cfg.OnError = func(error) {} // closing finds no place for an entry of the index
			l := mustOpen(t, cfg)
			add(t, l, 10, 18)
			c := &cut{track(l), t, cfg.names().file(uint64(slot)), size(10, 12)}
			got := drainAll(t, read(t.Context(), cfg.Format, c, all))
			for i, s := range got {
				if strings.Contains(s, errTruncated.Error()) {
					got[i] = "truncated"
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("slot %d: %q", slot, got)
			}
		}
	}
}

// A file that was short before the reading is read as it is.
func TestTruncatedBeforeRead(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.OnError = func(error) {}
	l := mustOpen(t, cfg)
	add(t, l, 0, 9)
	if err := os.Truncate(cfg.Path, size(0, 4)); err != nil {
		t.Fatal(err)
	}
	for _, r := range []reads{l, mustReader(t, cfg)} {
		expect(t, r, all, texts(0, 4))
		expect(t, r, logdriver.ReadConfig{Tail: 2}, texts(2, 4))
	}
}

// Nor does one that is read from its end seem to begin there.
func TestTruncatedWhileReadBackwards(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	l := mustOpen(t, cfg)
	add(t, l, 0, 20)
	l.Close()
	w := read(t.Context(), cfg.Format, &cut{newRemote(&cfg), t, cfg.Path, 0}, logdriver.ReadConfig{Tail: 3})
	if got := drainAll(t, w); len(got) > 0 {
		t.Errorf("%q", got)
	}
	if err := ending(w); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
}
