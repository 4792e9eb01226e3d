package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/logplug/logplug/drivers/local/internal/record"
	"github.com/logplug/logplug/sdk/logfile"
	"github.com/logplug/logplug/shared/logdriver"
)

func TestOptions(t *testing.T) {
	for _, tc := range []struct {
		config map[string]string
		option string // that is refused; empty if none is
	}{
		{map[string]string{}, ""},
		{map[string]string{"max-size": "10m", "max-file": "3", "compress": "true", "max-age": "24h"}, ""},
		{map[string]string{"max-file": "1"}, ""},
		{map[string]string{"max-file": "1", "compress": "false"}, ""},
		{map[string]string{"max-file": "1", "compress": "true"}, "compress"},
		{map[string]string{"max-size": "0"}, "max-size"},
		{map[string]string{"max-size": "-1"}, "max-size"},
		{map[string]string{"max-size": "big"}, "max-size"},
		{map[string]string{"max-file": "0"}, "max-file"},
		{map[string]string{"max-age": "0s"}, "max-age"},
		{map[string]string{"max-age": "-1h"}, "max-age"},
		{map[string]string{"max-age": "a day"}, "max-age"},
		{map[string]string{"compress": "perhaps"}, "compress"},
		{map[string]string{"sync": "always"}, "sync"},
		{map[string]string{"sync": "interval", "sync-interval": "0s"}, "sync-interval"},
		{map[string]string{"labels-regex": "("}, "labels-regex"},
		{map[string]string{"tag": "{{"}, "tag"},
		{map[string]string{"max-sise": "1"}, "max-sise"},
	} {
		info := logdriver.Info{Config: tc.config, LogPath: filepath.Join(t.TempDir(), "x.log")}
		l, err := openLogger(&info)
		if err == nil {
			l.Close()
		}
		var opt *logdriver.OptionError
		switch {
		case tc.option == "" && err != nil:
			t.Errorf("%v: %v", tc.config, err)
		case tc.option != "" && (!errors.As(err, &opt) || opt.Option != tc.option):
			t.Errorf("%v: %v", tc.config, err)
		}
	}
	info := logdriver.Info{}
	if _, err := openLogger(&info); err == nil || !strings.Contains(err.Error(), `"path"`) {
		t.Errorf("no path: %v", err)
	}
}

// What is not given is bounded.
func TestDefaults(t *testing.T) {
	opts, err := driver().Options(nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := opts.config(&logdriver.Info{LogPath: "/x"})
	if err != nil || cfg.MaxSize != 20<<20 || cfg.MaxFiles != 5 || !cfg.Compress || cfg.MaxAge != 0 || cfg.Path != "/x" {
		t.Errorf("%+v, %v", cfg, err)
	}
}

func openLogger(info *logdriver.Info) (*logfile.Logger, error) {
	d := driver()
	opts, err := d.Options(info.Config)
	if err != nil {
		return nil, err
	}
	l, err := d.Open(context.Background(), *info, opts)
	if err != nil {
		return nil, err
	}
	return l.(*logfile.Logger), nil
}

func mustOpen(t testing.TB, info *logdriver.Info) *logfile.Logger {
	t.Helper()
	l, err := openLogger(info)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

var epoch = time.Unix(1_700_000_000, 0).UTC()

// numbered returns the messages with sequences from to to.
func numbered(from, to int) []*logdriver.Message {
	var msgs []*logdriver.Message
	for i := from; i <= to; i++ {
		msgs = append(msgs, &logdriver.Message{
			Line: fmt.Appendf(nil, "message %d", i), Source: "stdout", Seq: uint64(i), Timestamp: epoch.Add(time.Duration(i) * time.Second),
		})
	}
	return msgs
}

func add(t testing.TB, l *logfile.Logger, from, to int) {
	t.Helper()
	if err := l.LogBatch(context.Background(), numbered(from, to)); err != nil {
		t.Fatal(err)
	}
}

type reads interface {
	ReadLogs(context.Context, logdriver.ReadConfig) *logdriver.LogWatcher
}

// expect reads the messages with sequences from to to, each with attrs.
func expect(t *testing.T, r reads, cfg logdriver.ReadConfig, from, to int, attrs func(seq int) []logdriver.Attr) {
	t.Helper()
	var got, want []string
	for m, err := range r.ReadLogs(context.Background(), cfg).All() {
		if err != nil {
			t.Fatal(err)
		}
		if m.Err == nil {
			got = append(got, fmt.Sprint(string(m.Line), m.Attrs))
		}
	}
	for i := from; i <= to; i++ {
		want = append(want, fmt.Sprint("message ", i, "\n", attrs(i)))
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%+v: %s", cfg, d)
	}
}

func none(int) []logdriver.Attr { return []logdriver.Attr{} }

// Attributes of a log come with each message, wherever reading starts, in which file
// and from which run it is.
func TestConstantAttributes(t *testing.T) {
	for name, config := range map[string]map[string]string{
		"one file":   {},
		"rotated":    {"max-size": "10k", "max-file": "1000", "compress": "false"},
		"compressed": {"max-size": "10k", "max-file": "1000"},
	} {
		t.Run(name, func(t *testing.T) {
			info := logdriver.Info{
				ContainerID: "0123456789abcdef", LogPath: filepath.Join(t.TempDir(), "x.log"), Config: config,
				ContainerLabels: map[string]string{"a": "1", "b": "2", "other": "3"}, ContainerEnv: []string{"E=4"},
			}
			const n = 2500 // messages of a run: several contexts in one file
			runs := []struct {
				options map[string]string
				attrs   []logdriver.Attr
			}{
				{nil, []logdriver.Attr{}},
				{map[string]string{"labels": "a", "tag": "{{.ID}}"}, []logdriver.Attr{{Key: "a", Value: "1"}, {Key: "tag", Value: "0123456789ab"}}},
				{map[string]string{"labels-regex": "^b", "env": "E"}, []logdriver.Attr{{Key: "E", Value: "4"}, {Key: "b", Value: "2"}}},
			}
			attrs := func(seq int) []logdriver.Attr { return runs[(seq-1)/n].attrs }
			for i, run := range runs {
				info := info.Clone()
				maps.Copy(info.Config, run.options)
				l := mustOpen(t, &info)
				add(t, l, i*n+1, (i+1)*n)
				check(t, l, (i+1)*n, attrs)
				l.Close()
			}
			r, err := openReader(context.Background(), info, mustOptions(t, config))
			if err != nil {
				t.Fatal(err)
			}
			check(t, r, len(runs)*n, attrs)
		})
	}
}

func check(t *testing.T, r reads, last int, attrs func(int) []logdriver.Attr) {
	t.Helper()
	for _, tail := range []int{1, 10, 3000} {
		expect(t, r, logdriver.ReadConfig{Tail: tail}, max(last-tail, 0)+1, last, attrs)
	}
	for _, since := range []int{1, last / 2, last} {
		expect(t, r, logdriver.ReadConfig{Tail: -1, Since: epoch.Add(time.Duration(since) * time.Second)}, since, last, attrs)
	}
}

func mustOptions(t *testing.T, config map[string]string) *options {
	t.Helper()
	opts, err := driver().Options(config)
	if err != nil {
		t.Fatal(err)
	}
	return opts
}

// Wherever in a write the process is killed, what the host sends again is there once.
func TestKilledWhileWriting(t *testing.T) {
	info := logdriver.Info{Stream: "s", Config: map[string]string{"labels": "a"}, ContainerLabels: map[string]string{"a": "1"}}
	attrs := []logdriver.Attr{{Key: "a", Value: "1"}}
	enc := record.New(attrs).NewEncoder()
	for _, held := range []int{0, 3} { // without, and with a context before
		var write []byte
		var ends []int
		for _, m := range numbered(held+1, held+3) {
			write = enc.Append(write, m)
			ends = append(ends, len(write))
		}
		for n := range len(write) + 1 {
			info.LogPath = filepath.Join(t.TempDir(), "logs", "x.log")
			l := mustOpen(t, &info)
			if held > 0 {
				add(t, l, 1, held)
			}
			info.LogPath = abandon(t, info.LogPath)
			appendTo(t, info.LogPath, write[:n])
			whole := 0
			for whole < len(ends) && ends[whole]-1 <= n {
				whole++
			}
			l = mustOpen(t, &info)
			if got := l.LastSeq(); got != uint64(held+whole) {
				t.Fatalf("%d bytes: last sequence %d, want %d", n, got, held+whole)
			}
			add(t, l, held+whole+1, 10)
			expect(t, l, logdriver.ReadConfig{Tail: -1}, 1, 10, func(int) []logdriver.Attr { return attrs })
			l.Close()
		}
	}
}

// abandon leaves the files of a log that is open as the death of its process does, and
// returns where they are.
func abandon(t *testing.T, path string) string {
	t.Helper()
	dir := filepath.Dir(path) + "-abandoned"
	if err := os.Rename(filepath.Dir(path), dir); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(dir, filepath.Base(path))
	if err := os.Remove(path + ".lock"); err != nil {
		t.Fatal(err)
	}
	return path
}

func appendTo(t *testing.T, name string, b []byte) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = f.Write(b)
		f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Full files are compressed and keep their number in the name, as many as were asked for.
func TestFiles(t *testing.T) {
	info := logdriver.Info{LogPath: filepath.Join(t.TempDir(), "x.log"), Config: map[string]string{"max-size": "1", "max-file": "3"}}
	l := mustOpen(t, &info)
	add(t, l, 1, 7)
	want := []string{"x.log", "x.log.00000005.zst", "x.log.00000006.zst"}
	deadline := time.After(60 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		got := logFiles(t, info.LogPath)
		if slices.Equal(got, want) {
			break
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%q", got)
		}
	}
	expect(t, l, logdriver.ReadConfig{Tail: -1}, 5, 7, none)
}

// logFiles returns the names of the files beside path that hold records, in order.
func logFiles(t *testing.T, path string) (names []string) {
	t.Helper()
	all, err := filepath.Glob(path + "*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range all {
		switch filepath.Ext(name) {
		case ".idx", ".lock", ".new", ".tmp":
		default:
			names = append(names, filepath.Base(name))
		}
	}
	return names
}

// Files that were last written to before max-age are removed; the current one is not.
func TestMaxAge(t *testing.T) {
	info := logdriver.Info{LogPath: filepath.Join(t.TempDir(), "x.log"), Config: map[string]string{"max-size": "1", "compress": "false", "max-age": "1h"}}
	l := mustOpen(t, &info)
	add(t, l, 1, 5)
	old := time.Now().Add(-2 * time.Hour)
	for _, name := range []string{".00000001", ".00000002", ""} {
		if err := os.Chtimes(info.LogPath+name, old, old); err != nil {
			t.Fatal(err)
		}
	}
	l.Close()
	l = mustOpen(t, &info)
	expect(t, l, logdriver.ReadConfig{Tail: -1}, 3, 5, none)
}
