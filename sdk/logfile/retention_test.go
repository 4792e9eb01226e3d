package logfile

import (
	"os"
	"testing"
	"time"
)

// Old files are removed when the log is opened, when it is rotated, and in between.
func TestMaxAge(t *testing.T) {
	for _, lasting := range []bool{false, true} {
		cfg := config(t)
		cfg.MaxSize, cfg.MaxFiles, cfg.MaxAge, cfg.Numbered = 1, 100, time.Hour, lasting
		key := func(gen uint64) uint64 { // while generation 5 is the current one
			if lasting {
				return gen
			}
			return 5 - gen
		}
		age := func(gen uint64, d time.Duration) {
			when := time.Now().Add(-d)
			if err := os.Chtimes(cfg.names().file(key(gen)), when, when); err != nil {
				t.Fatal(err)
			}
		}
		l := mustOpen(t, cfg)
		add(t, l, 0, 5)
		age(1, 3*time.Hour)
		age(2, 2*time.Hour)
		age(4, 2*time.Hour) // older than what follows: files go from the oldest on
		l.Close()
		l = mustOpen(t, cfg)
		expect(t, l, all, texts(2, 5))
		age(3, time.Hour-100*time.Millisecond)
		l.Close()
		l = mustOpen(t, cfg)
		until(t, "removed", func() bool { return !exists(cfg.names().file(key(3))) && !exists(cfg.names().file(key(4))) })
		expect(t, l, all, texts(4, 5))
		add(t, l, 5, 7)
		expect(t, l, all, texts(4, 7))
		l.Close()
	}
}

// Compressing a file does not make it younger.
func TestMaxAgeOfCompressed(t *testing.T) {
	cfg := config(t)
	cfg.MaxSize, cfg.MaxFiles = 1, 10
	l := mustOpen(t, cfg)
	add(t, l, 0, 3)
	l.Close()
	old := time.Now().Add(-2 * time.Hour)
	if err := os.Chtimes(cfg.names().file(2), old, old); err != nil {
		t.Fatal(err)
	}
	cfg.Compress = true
	l = mustOpen(t, cfg)
	until(t, "compressed", func() bool { return exists(cfg.names().packed(2)) && !exists(cfg.names().file(2)) })
	l.Close()
	cfg.MaxAge = time.Hour
	expect(t, mustOpen(t, cfg), all, texts(1, 3))
}
