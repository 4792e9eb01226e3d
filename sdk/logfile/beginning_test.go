package logfile

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/logplug/logplug/shared/logdriver"
)

// directed is a tracker with which a test acts at certain moments of a reading.
type directed struct {
	tracker
	looks, reads int         // so far
	look         func(n int) // before the n-th look for what becomes of the file
	read         func(n int) // before the n-th read of it
}

func (d *directed) state(g *generation) (state, <-chan struct{}, error) {
	d.looks++
	if d.look != nil {
		d.look(d.looks)
	}
	return d.tracker.state(g)
}

func (d *directed) limit(g *generation) func() int64 {
	limit := d.tracker.limit(g)
	return func() int64 {
		d.reads++
		if d.read != nil {
			d.read(d.reads)
		}
		return limit()
	}
}

// A file that another program has truncated is noticed also if more was written to it
// since than a reader had read, before the reader comes to look at it again.
func TestTruncatedAndGrownAgain(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"while waiting", "while reading", "before reading"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			cfg := config(t)
			l := mustOpen(t, cfg)
			add(t, l, 0, 3)
			done := false
			regrow := func() {
				done = true
				if err := os.Truncate(cfg.Path, 0); err != nil {
					t.Error(err)
				}
				add(t, l, 3, 20)
			}
			d := &directed{tracker: newRemote(&cfg)}
			want := append(texts(0, 3), texts(3, 20)...)
			read3 := logdriver.ReadConfig{Tail: -1, Follow: true}
			switch kind {
			case "while waiting":
				d.look = func(n int) {
					if n == 2 {
						regrow()
					}
				}
			case "while reading":
				d.read = func(int) {
					if d.looks == 2 && !done {
						regrow()
					}
				}
			case "before reading":
				want = texts(3, 20)
				read3.Tail = 0
				d.look = func(n int) {
					if n == 1 {
						regrow()
					}
				}
			}
			w := read(t.Context(), cfg.Format, d, read3)
			defer w.Close()
			got := take(t, w, len(want)+1)
			got = slices.DeleteFunc(got, func(s string) bool { return strings.Contains(s, errTruncated.Error()) })
			if !slices.Equal(got, want) {
				t.Errorf("%q", got)
			}
		})
	}
}
