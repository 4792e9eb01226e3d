package logfile

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/logplug/logplug/shared/logdriver"
)

// Reading from a time tells of the compressed files that are damaged in which the time
// may lie, also if nothing else is found.
func TestSinceInDamagedGzip(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.MaxSize, cfg.MaxFiles, cfg.Compress = size(0, 2), 4, true
	l := mustOpen(t, cfg)
	add(t, l, 0, 7)
	until(t, "compressed", func() bool { return l.uncompressed(nil) == 0 })
	l.Close()
	removeIndexes(t, cfg)
	for _, slot := range []uint64{3, 2} {
		if err := os.Truncate(cfg.names().packed(slot), 20); err != nil {
			t.Fatal(err)
		}
	}
	damaged := []string{"damaged", "damaged"}
	for since, want := range map[int][]string{
		0: append(damaged, texts(4, 7)...), 3: append(damaged, texts(4, 7)...), 5: append(damaged, texts(5, 7)...), 9: damaged,
	} {
		w := mustReader(t, cfg).ReadLogs(t.Context(), logdriver.ReadConfig{Tail: -1, Since: at(since)})
		got := drainAll(t, w)
		for i, s := range got {
			if strings.HasPrefix(s, "error: damage") {
				got[i] = "damaged"
			}
		}
		if err := ending(w); err != nil || !slices.Equal(got, want) {
			t.Errorf("since %d: %q, %v", since, got, err)
		}
	}
}

// Damage before a record that is older than what is asked for is not, either.
func TestSinceAfterDamage(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	l := mustOpen(t, cfg)
	add(t, l, 0, 2)
	l.Close()
	write(t, cfg.Path, "rubbish\n")
	l = mustOpen(t, cfg)
	add(t, l, 2, 6)
	l.Close()
	removeIndexes(t, cfg)
	expect(t, mustReader(t, cfg), logdriver.ReadConfig{Tail: -1, Since: at(4)}, texts(4, 6))
}
