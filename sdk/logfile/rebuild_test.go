package logfile

import (
	"os"
	"testing"

	"github.com/logplug/logplug/shared/logdriver"
)

// A large file without index gets one while it is written to, which makes no claim
// about messages of earlier runs, and exact ones about its own.
func TestIndexInTheBackground(t *testing.T) {
	const before, n, batch = 60_000, 80_000, 500
	cfg := config(t)
	l := mustOpen(t, cfg)
	add(t, l, 0, before)
	l.Close()
	if err := os.Remove(cfg.names().index(0)); err != nil {
		t.Fatal(err)
	}
	write(t, cfg.names().indexTemp(), "half")
	cfg.maxRebuild = 1000
	l = mustOpen(t, cfg)
	if l.LastSeq() != 0 {
		t.Errorf("last sequence %d", l.LastSeq())
	}
	for i := before; i < n; i += batch {
		add(t, l, i, i+batch)
	}
	until(t, "an index", func() bool { return exists(cfg.names().index(0)) && !exists(cfg.names().indexTemp()) })
	add(t, l, n, n+batch)
	for _, r := range []reads{l, mustReader(t, cfg)} {
		for _, tail := range []int{1, maxBackward + 1, n - before + 10} {
			expect(t, r, logdriver.ReadConfig{Tail: tail}, texts(n+batch-tail, n+batch))
		}
		for _, since := range []int{before / 2, n, n + 3} {
			expect(t, r, logdriver.ReadConfig{Tail: -1, Since: at(since)}, texts(since, n+batch))
		}
	}
	kill(l)
	x, err := openIndex(cfg.names().index(0))
	if err != nil {
		t.Fatal(err)
	}
	defer x.close()
	fi, err := os.Stat(cfg.Path)
	if err != nil || int64(x.n) < fi.Size()/indexSpacing/2 {
		t.Errorf("%d entries for %d bytes, %v", x.n, fi.Size(), err)
	}
	if l = mustOpen(t, cfg); l.LastSeq() != n+batch {
		t.Errorf("last sequence %d", l.LastSeq())
	}
}

// Building stops with the log, whenever that is closed, or goes on with a new file.
func TestIndexInTheBackgroundStops(t *testing.T) {
	cfg := config(t)
	l := mustOpen(t, cfg)
	add(t, l, 0, 20_000)
	l.Close()
	cfg.maxRebuild, cfg.MaxFiles = 1, 2
	for i := range 5 {
		if err := os.Remove(cfg.names().index(0)); err != nil {
			t.Fatal(err)
		}
		if i == 4 {
			cfg.MaxSize = 1
		}
		l = mustOpen(t, cfg)
		add(t, l, 20_000+i, 20_000+i+1)
		l.Close()
		if exists(cfg.names().indexTemp()) {
			t.Error("a file was left")
		}
		if i < 4 && !exists(cfg.names().index(0)) {
			write(t, cfg.names().index(0), "")
		}
	}
	expect(t, mustReader(t, cfg), logdriver.ReadConfig{Tail: 10}, texts(20_000-5, 20_000+5))
}
