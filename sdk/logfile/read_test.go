package logfile

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/logplug/logplug/shared/logdriver"
)

// layouts are ways in which one and the same log may lie on the disk.
var layouts = []struct {
	name string
	set  func(*Config)
}{
	{"one file", func(*Config) {}},
	{"a file a record", func(c *Config) { c.MaxSize, c.MaxFiles = 1, 1000 }},
	{"a few files", func(c *Config) { c.MaxSize, c.MaxFiles = 300, 1000 }},
	{"compressed", func(c *Config) { c.MaxSize, c.MaxFiles, c.Compress = 300, 1000, true }},
	{"a compressed file a record", func(c *Config) { c.MaxSize, c.MaxFiles, c.Compress = 1, 1000, true }},
	{"with context", func(c *Config) { c.Format = contextFormat{} }},
	{"compressed with context", func(c *Config) {
		c.Format, c.MaxSize, c.MaxFiles, c.Compress = contextFormat{}, 300, 1000, true
	}},
	{"numbered", func(c *Config) { c.MaxSize, c.MaxFiles, c.Numbered = 300, 1000, true }},
	{"a numbered file a record", func(c *Config) { c.MaxSize, c.MaxFiles, c.Numbered = 1, 1000, true }},
	{"numbered and compressed", func(c *Config) {
		c.MaxSize, c.MaxFiles, c.Numbered, c.Compress, c.Codec = 1, 1000, true, true, Zstd
	}},
}

func at(i int) time.Time { return epoch.Add(time.Duration(i) * time.Second) }

// checkSelections reads n numbered messages in many ways.
func checkSelections(t *testing.T, r reads, n int) {
	t.Helper()
	for _, tail := range []int{-1, 0, 1, 2, n / 2, n - 1, n, n + 1, 10 * n} {
		from := 0
		if tail >= 0 {
			from = max(0, n-tail)
		}
		expect(t, r, logdriver.ReadConfig{Tail: tail}, texts(from, n))
		for _, since := range []int{-5, 0, 1, n / 3, n - 1, n} {
			cfg := logdriver.ReadConfig{Tail: tail, Since: at(since)}
			expect(t, r, cfg, texts(max(from, since), n))
			cfg.Until = at(n - 3)
			expect(t, r, cfg, texts(max(from, since), n-2))
		}
		expect(t, r, logdriver.ReadConfig{Tail: tail, Until: at(n/2 - 1)}, texts(from, n/2))
	}
}

func TestSelections(t *testing.T) {
	const n = 24
	for _, layout := range layouts {
		t.Run(layout.name, func(t *testing.T) {
			cfg := config(t)
			layout.set(&cfg)
			l := mustOpen(t, cfg)
			expect(t, l, logdriver.ReadConfig{Tail: -1}, nil)
			add(t, l, 0, 7)
			add(t, l, 7, n)
			checkSelections(t, l, n)
			checkSelections(t, mustReader(t, cfg), n)
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			checkSelections(t, l, n)
			checkSelections(t, mustReader(t, cfg), n)
			l = mustOpen(t, cfg)
			checkSelections(t, l, n)
			removeIndexes(t, cfg)
			checkSelections(t, mustReader(t, cfg), n)
		})
	}
}

func removeIndexes(t *testing.T, cfg Config) {
	t.Helper()
	for slot := range uint64(200) {
		if err := os.Remove(cfg.names().index(slot)); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
}

// A clock that goes back does not hide messages after the first match.
func TestSinceWithClockGoingBack(t *testing.T) {
	for _, layout := range layouts {
		t.Run(layout.name, func(t *testing.T) {
			cfg := config(t)
			layout.set(&cfg)
			l := mustOpen(t, cfg)
			msgs := numbered(0, 40)
			for i, m := range msgs[20:] {
				m.Timestamp = at(i - 100)
			}
			if err := l.Append(msgs); err != nil {
				t.Fatal(err)
			}
			for _, r := range []reads{l, mustReader(t, cfg)} {
				expect(t, r, logdriver.ReadConfig{Tail: -1, Since: at(15)}, texts(15, 40))
				expect(t, r, logdriver.ReadConfig{Tail: 10, Since: at(15)}, texts(30, 40))
				expect(t, r, logdriver.ReadConfig{Tail: 30, Since: at(15)}, texts(15, 40))
				expect(t, r, logdriver.ReadConfig{Tail: -1, Since: at(20)}, nil)
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			removeIndexes(t, cfg)
			expect(t, l, logdriver.ReadConfig{Tail: 10, Since: at(15)}, texts(30, 40))
		})
	}
}

func TestFollow(t *testing.T) {
	for _, layout := range layouts {
		for _, kind := range []string{"same process", "other process"} {
			for _, tail := range []int{-1, 0, 1, 42} {
				t.Run(fmt.Sprintf("%s, %s, tail %d", layout.name, kind, tail), func(t *testing.T) {
					cfg := config(t)
					layout.set(&cfg)
					l := mustOpen(t, cfg)
					var r reads = l
					if kind == "other process" {
						r = mustReader(t, cfg)
					}
					empty := r.ReadLogs(context.Background(), logdriver.ReadConfig{Tail: tail, Follow: true})
					defer empty.Close()
					add(t, l, 0, 50)
					mid := r.ReadLogs(context.Background(), logdriver.ReadConfig{Tail: tail, Follow: true})
					defer mid.Close()
					add(t, l, 50, 60)
					got := take(t, empty, 60)
					add(t, l, 60, 100)
					if err := l.Close(); err != nil {
						t.Fatal(err)
					}
					got = append(got, drainAll(t, empty)...)
					if want := texts(0, 100); !slices.Equal(got, want) {
						t.Errorf("from the beginning: %s", cmp.Diff(want, got))
					}
					from := 0
					if tail >= 0 {
						from = max(0, 50-tail)
					}
					if got, want := drainAll(t, mid), texts(from, 100); !slices.Equal(got, want) {
						t.Errorf("from the middle: %s", cmp.Diff(want, got))
					}
					if err := errors.Join(ending(empty), ending(mid)); err != nil {
						t.Error(err)
					}
				})
			}
		}
	}
}

func TestFollowFilters(t *testing.T) {
	for _, tc := range []struct {
		name     string
		cfg      logdriver.ReadConfig
		from, to int
	}{
		{"since", logdriver.ReadConfig{Since: at(7)}, 7, 20},
		{"until", logdriver.ReadConfig{Until: at(7)}, 0, 8},
		{"both", logdriver.ReadConfig{Since: at(5), Until: at(7)}, 5, 8},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := mustOpen(t, config(t))
			tc.cfg.Tail, tc.cfg.Follow = -1, true
			w := l.ReadLogs(context.Background(), tc.cfg)
			defer w.Close()
			add(t, l, 0, 20)
			if tc.cfg.Until.IsZero() {
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
			}
			if got := drainAll(t, w); !slices.Equal(got, texts(tc.from, tc.to)) {
				t.Errorf("%q", got)
			}
		})
	}
}

// A new writer's log is followed with what earlier ones wrote, and a log without a
// writer ends.
func TestFollowAcrossWriters(t *testing.T) {
	cfg := config(t)
	l := mustOpen(t, cfg)
	add(t, l, 0, 3)
	l.Close()
	expect(t, mustReader(t, cfg), logdriver.ReadConfig{Tail: -1, Follow: true}, texts(0, 3))
	l = mustOpen(t, cfg)
	w := l.ReadLogs(context.Background(), logdriver.ReadConfig{Tail: -1, Follow: true})
	add(t, l, 3, 6)
	l.Close()
	if got := drainAll(t, w); !slices.Equal(got, texts(0, 6)) {
		t.Errorf("%q", got)
	}
}

// A reader that is overtaken says so; one that was not loses nothing, with a single
// file too.
func TestFollowGap(t *testing.T) {
	for i, kind := range []string{"same process", "other process", "same process, numbered", "other process, numbered"} {
		t.Run(kind, func(t *testing.T) {
			cfg := config(t)
			cfg.Numbered = i > 1
			const base, each = 1000, 100
			cfg.MaxSize = size(base, base+each)
			l := mustOpen(t, cfg)
			var r reads = l
			if i%2 == 1 {
				r = mustReader(t, cfg)
			}
			w := r.ReadLogs(context.Background(), logdriver.ReadConfig{Tail: -1, Follow: true})
			defer w.Close()
			for i := range 5 {
				from := base + i*each
				add(t, l, from, from+each)
				if got := take(t, w, each); !slices.Equal(got, texts(from, from+each)) {
					t.Fatalf("%q", got)
				}
			}
			from := base + 5*each
			add(t, l, from, from+6000) // more than a watcher holds
			got := drainAll(t, w)
			if !slices.Equal(got, texts(from, from+len(got))) {
				t.Errorf("out of order: %q", got)
			}
			if err := ending(w); !errors.Is(err, logdriver.ErrGap) {
				t.Errorf("ended with %v after %d messages", err, len(got))
			}
		})
	}
}

func TestFollowStops(t *testing.T) {
	l := mustOpen(t, config(t))
	ctx, cancel := context.WithCancel(context.Background())
	w := l.ReadLogs(ctx, logdriver.ReadConfig{Tail: -1, Follow: true})
	cancel()
	drainAll(t, w)
	if err := ending(w); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	w = l.ReadLogs(context.Background(), logdriver.ReadConfig{Tail: -1, Follow: true})
	w.Close()
	drainAll(t, w)
	if err := ending(w); err != nil {
		t.Errorf("closed: %v", err)
	}
	w = l.ReadLogs(context.Background(), logdriver.ReadConfig{Tail: -1, Follow: true, Until: time.Now().Add(2 * time.Second)})
	drainAll(t, w)
	if err := ending(w); err != nil {
		t.Errorf("expired: %v", err)
	}
}

// A consumer that has gone while the watcher is full frees the producer.
func TestSlowConsumer(t *testing.T) {
	l := mustOpen(t, config(t))
	add(t, l, 0, 10000)
	w := l.ReadLogs(context.Background(), logdriver.ReadConfig{Tail: -1})
	take(t, w, 1)
	w.Close()
	drainAll(t, w)
}

func TestManyReadersAndWriters(t *testing.T) {
	for _, numbered := range []bool{false, true} {
		t.Run(fmt.Sprintf("numbered=%v", numbered), func(t *testing.T) { manyReadersAndWriters(t, numbered) })
	}
}

func manyReadersAndWriters(t *testing.T, numbered bool) {
	cfg := config(t)
	cfg.MaxSize, cfg.MaxFiles, cfg.Compress, cfg.Numbered = 4000, 1000, true, numbered
	l := mustOpen(t, cfg)
	const writers, each = 4, 300
	var readers, writing sync.WaitGroup
	for i := range 6 {
		var r reads = l
		if i%2 == 1 {
			r = mustReader(t, cfg)
		}
		w := r.ReadLogs(context.Background(), logdriver.ReadConfig{Tail: -1, Follow: true})
		readers.Go(func() {
			defer w.Close()
			last := map[byte]string{}
			got := drainAll(t, w)
			for _, s := range got {
				if s <= last[s[0]] {
					t.Errorf("%q after %q", s, last[s[0]])
				}
				last[s[0]] = s
			}
			if len(got) != writers*each {
				t.Errorf("%d messages: %v", len(got), ending(w))
			}
		})
	}
	for i := range writers {
		writing.Go(func() {
			for n := range each {
				m := &logdriver.Message{Line: fmt.Appendf(nil, "%d %05d", i, n), Timestamp: time.Now()}
				if err := l.Append([]*logdriver.Message{m}); err != nil {
					t.Error(err)
				}
				if n%50 == 0 {
					drainAll(t, l.ReadLogs(context.Background(), logdriver.ReadConfig{Tail: 10}))
				}
			}
		})
	}
	writing.Wait()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	readers.Wait()
}

func TestNoLog(t *testing.T) {
	if _, err := OpenReader(config(t)); !errors.Is(err, logdriver.ErrNoLog) {
		t.Error(err)
	}
}

// Nothing of the past is nothing also where the newest file is a compressed one.
func TestNoTailOfCompressed(t *testing.T) {
	t.Parallel()
	for _, indexed := range []bool{true, false} {
		cfg := config(t)
		cfg.MaxSize, cfg.MaxFiles, cfg.Compress = size(0, 2), 4, true
		l := mustOpen(t, cfg)
		add(t, l, 0, 5)
		until(t, "compressed", func() bool { return l.uncompressed(nil) == 0 })
		l.Close()
		if err := os.Remove(cfg.Path); err != nil {
			t.Fatal(err)
		}
		if !indexed {
			removeIndexes(t, cfg)
		}
		for _, follow := range []bool{false, true} {
			expect(t, mustReader(t, cfg), logdriver.ReadConfig{Tail: 0, Follow: follow}, nil)
		}
		expect(t, mustReader(t, cfg), logdriver.ReadConfig{Tail: 1}, texts(3, 4))
	}
}
