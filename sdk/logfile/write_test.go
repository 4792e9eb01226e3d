package logfile

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/logplug/logplug/shared/logdriver"
)

var all = logdriver.ReadConfig{Tail: -1}

func TestFilesAndModes(t *testing.T) {
	cfg := config(t)
	l := mustOpen(t, cfg)
	add(t, l, 0, 1)
	for name, want := range map[string]os.FileMode{filepath.Dir(cfg.Path): 0o750, cfg.Path: 0o640} {
		fi, err := os.Stat(name)
		if err != nil || fi.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", name, fi.Mode().Perm(), err)
		}
	}
}

func TestSecondWriterIsRefused(t *testing.T) {
	cfg := config(t)
	l := mustOpen(t, cfg)
	_, err := Open(cfg)
	if !errors.Is(err, logdriver.ErrLogBusy) || !strings.Contains(err.Error(), cfg.Path) {
		t.Error(err)
	}
	l.Close()
	mustOpen(t, cfg)
}

func TestClosed(t *testing.T) {
	l := mustOpen(t, config(t))
	if err := errors.Join(l.Close(), l.Close()); err != nil {
		t.Error(err)
	}
	if err := l.Append(numbered(0, 1)); !errors.Is(err, logdriver.ErrClosed) {
		t.Error(err)
	}
	if err := l.Flush(context.Background()); !errors.Is(err, logdriver.ErrClosed) {
		t.Error(err)
	}
}

// size is that of the records from to to-1.
func size(from, to int) int64 {
	n := 0
	for _, m := range numbered(from, to) {
		n += len(plainFormat{}.Append(nil, m))
	}
	return int64(n)
}

// Rotation happens before the record that finds the file full, also in the
// middle of a batch, and keeps what it should.
func TestRotation(t *testing.T) {
	cfg := config(t)
	cfg.MaxSize, cfg.MaxFiles = size(10, 13)-1, 3
	l := mustOpen(t, cfg)
	add(t, l, 10, 24)
	expect(t, l, all, texts(16, 24))
	for slot, want := range []int64{size(22, 24), size(19, 22), size(16, 19)} {
		if fi, err := os.Stat(cfg.names().file(uint64(slot))); err != nil || fi.Size() != want {
			t.Errorf("slot %d: %v, want %d bytes", slot, fi.Size(), want)
		}
	}
	if exists(cfg.names().file(3)) || exists(cfg.names().index(3)) {
		t.Error("too many files")
	}
	l.Close()
	cfg.MaxFiles = 2
	l = mustOpen(t, cfg)
	add(t, l, 24, 26)
	expect(t, l, all, texts(22, 26))
}

func TestSingleFileIsStartedAnew(t *testing.T) {
	cfg := config(t)
	cfg.MaxSize = size(0, 2)
	l := mustOpen(t, cfg)
	add(t, l, 0, 5)
	expect(t, l, all, texts(4, 5))
}

func TestCompression(t *testing.T) {
	cfg := config(t)
	cfg.MaxSize, cfg.MaxFiles, cfg.Compress = size(0, 2), 4, true
	l := mustOpen(t, cfg)
	add(t, l, 0, 5)
	until(t, "compressed", func() bool {
		return exists(cfg.names().packed(1)) && exists(cfg.names().packed(2)) && !exists(cfg.names().file(1)) && !exists(cfg.names().file(2))
	})
	f, err := os.Open(cfg.names().packed(1))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	zr, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(zr.Extra), `"lastTime":"`+at(3).UTC().Format(time.RFC3339)) {
		t.Errorf("header: %s", zr.Extra)
	}
	b, err := io.ReadAll(zr)
	if err != nil || int64(len(b)) != size(2, 4) {
		t.Errorf("%q, %v", b, err)
	}
	expect(t, l, all, texts(0, 5))
}

// What a crash left of compression and rotation is mended.
func TestLeftovers(t *testing.T) {
	cfg := config(t)
	cfg.MaxSize, cfg.MaxFiles = size(0, 2), 4
	l := mustOpen(t, cfg)
	add(t, l, 0, 5)
	kill(l)
	write(t, cfg.names().packedTemp(), "half")
	write(t, cfg.names().packed(1), "half")
	write(t, cfg.names().fresh(), "")
	cfg.Compress = true
	l = mustOpen(t, cfg)
	until(t, "compressed", func() bool { return exists(cfg.names().packed(1)) && !exists(cfg.names().file(1)) })
	until(t, "compressed", func() bool { return exists(cfg.names().packed(2)) && !exists(cfg.names().file(2)) })
	if exists(cfg.names().packedTemp()) || exists(cfg.names().fresh()) {
		t.Error("files were left")
	}
	expect(t, l, all, texts(0, 5))
	l.Close()
	// A rotation that stopped half way: there is no current file.
	if err := os.Rename(cfg.Path, cfg.Path+".5"); err != nil {
		t.Fatal(err)
	}
	os.Remove(cfg.Path + ".5")
	l = mustOpen(t, cfg)
	if got := l.LastSeq(); got != 4 {
		t.Errorf("last sequence %d", got)
	}
	add(t, l, 5, 6)
	expect(t, l, all, append(texts(0, 4), texts(5, 6)...))
}

// faulty makes the file system fail.
type faulty struct {
	writableFile
	room     int // bytes; negative for no bound
	truncate error
	sync     error
}

func (f *faulty) Write(b []byte) (int, error) {
	if f.room < 0 {
		return f.writableFile.Write(b)
	}
	if len(b) <= f.room {
		f.room -= len(b)
		return f.writableFile.Write(b)
	}
	n, err := f.writableFile.Write(b[:f.room])
	f.room = 0
	return n, errors.Join(err, syscall.ENOSPC)
}

func (f *faulty) Truncate(n int64) error {
	if f.truncate != nil {
		return f.truncate
	}
	return f.writableFile.Truncate(n)
}

func (f *faulty) Sync() error {
	if f.sync != nil {
		return f.sync
	}
	return f.writableFile.Sync()
}

// A full disk keeps what it took, in whole records, and goes on when there is room.
func TestFullDisk(t *testing.T) {
	for room := range int(size(2, 5)) {
		cfg := config(t)
		l := mustOpen(t, cfg)
		add(t, l, 0, 2)
		f := &faulty{writableFile: l.cur.f, room: room}
		if room%2 == 1 {
			f.truncate = syscall.EIO
		}
		l.cur.f = f
		msgs := numbered(2, 5)
		err := l.Append(msgs)
		var batch *logdriver.BatchError
		if !errors.As(err, &batch) || !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("room %d: %v", room, err)
		}
		if want := 2 + batch.Done; size(2, want) > int64(room) || batch.Done < 2 && size(2, want+1) <= int64(room) {
			t.Errorf("room %d: %d done", room, batch.Done)
		}
		expect(t, l, all, texts(0, 2+batch.Done))
		f.room, f.truncate = -1, nil
		if err := l.Append(msgs[batch.Done:]); err != nil {
			t.Fatal(err)
		}
		expect(t, l, all, texts(0, 5))
		kill(l)
		l = mustOpen(t, cfg)
		if l.LastSeq() != 5 {
			t.Errorf("room %d: last sequence %d", room, l.LastSeq())
		}
		expect(t, l, all, texts(0, 5))
	}
}

// What cannot be made durable is not kept either: it is offered again.
func TestFailedSync(t *testing.T) {
	cfg := config(t)
	cfg.Sync = SyncBatch
	l := mustOpen(t, cfg)
	add(t, l, 0, 2)
	f := &faulty{writableFile: l.cur.f, room: -1, sync: syscall.EIO}
	l.cur.f = f
	w := l.ReadLogs(context.Background(), logdriver.ReadConfig{Tail: 0, Follow: true})
	defer w.Close()
	err := l.Append(numbered(2, 4))
	var batch *logdriver.BatchError
	if !errors.As(err, &batch) || batch.Done != 0 || !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	expect(t, l, all, texts(0, 2))
	f.sync = nil
	add(t, l, 2, 4)
	expect(t, l, all, texts(0, 4))
	if got := take(t, w, 2); !slices.Equal(got, texts(2, 4)) {
		t.Errorf("%q", got)
	}
}

type countingSync struct {
	writableFile
	n chan struct{}
}

func (c countingSync) Sync() error {
	c.n <- struct{}{}
	return c.writableFile.Sync()
}

func TestSyncInterval(t *testing.T) {
	cfg := config(t)
	cfg.Sync, cfg.SyncInterval = SyncInterval, time.Millisecond
	l := mustOpen(t, cfg)
	c := countingSync{l.cur.f, make(chan struct{}, 100)}
	l.cur.f = c
	for i := range 3 {
		add(t, l, i, i+1)
		select {
		case <-c.n:
		case <-time.After(patience):
			t.Fatal("not made durable")
		}
	}
}

// Records start on a fresh line after a torn one, which stays and is reported.
func TestTornTail(t *testing.T) {
	record := string(plainFormat{}.Append(nil, numbered(2, 3)[0]))
	for cut := range len(record) {
		cfg := config(t)
		l := mustOpen(t, cfg)
		add(t, l, 0, 2)
		kill(l)
		write(t, cfg.Path, record[:cut])
		r := mustReader(t, cfg)
		whole := cut == len(record)-1 // but for the line's end
		check := func(r reads, seq int) {
			t.Helper()
			var got []string
			for _, s := range drainAll(t, r.ReadLogs(context.Background(), all)) {
				if strings.HasPrefix(s, "error: ") {
					if !strings.Contains(s, cfg.Path) {
						t.Errorf("cut %d: %s", cut, s)
					}
					s = "torn"
				}
				got = append(got, s)
			}
			want := texts(0, 2)
			if whole {
				want = texts(0, 3)
			} else if cut > 0 {
				want = append(want, "torn")
			}
			if want = append(want, texts(3, seq)...); !slices.Equal(got, want) {
				t.Errorf("cut %d: got %q, want %q", cut, got, want)
			}
		}
		check(r, 3)
		l = mustOpen(t, cfg)
		if want := map[bool]uint64{true: 3, false: 2}[whole]; l.LastSeq() != want {
			t.Errorf("cut %d: last sequence %d, want %d", cut, l.LastSeq(), want)
		}
		check(l, 3)
		add(t, l, 3, 5)
		check(l, 5)
		check(r, 5)
		expect(t, l, logdriver.ReadConfig{Tail: 2}, texts(3, 5))
		l.Close()
	}
}

func TestDamage(t *testing.T) {
	cfg := config(t)
	l := mustOpen(t, cfg)
	add(t, l, 0, 2)
	l.Close()
	write(t, cfg.Path, "rubbish\n\x00\x00\nmore\n")
	l = mustOpen(t, cfg)
	add(t, l, 2, 4)
	var errs []*DamageError
	var got []string
	for m := range l.ReadLogs(context.Background(), all).Msg {
		var d *DamageError
		if errors.As(m.Err, &d) {
			errs = append(errs, d)
			continue
		}
		got = append(got, string(m.Line))
	}
	if len(errs) != 1 || errs[0].Bytes != 16 || errs[0].Offset != size(0, 2) || errs[0].File != cfg.Path {
		t.Errorf("%+v", errs)
	}
	if !slices.Equal(got, texts(0, 4)) {
		t.Errorf("%q", got)
	}
	expect(t, l, logdriver.ReadConfig{Tail: 2}, texts(2, 4))
}

// A line without end is damage, and takes no memory of its size.
func TestEndlessLine(t *testing.T) {
	cfg := config(t)
	l := mustOpen(t, cfg)
	add(t, l, 0, 2)
	l.Close()
	const long = 3*MaxFrameBytes + 12345
	f, err := os.OpenFile(cfg.Path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; n < long; n += 15 {
		if n%(1<<20) == 0 { // in large pieces
			if _, err := f.Write(bytes.Repeat([]byte("x"), min(1<<20, long-n))); err != nil {
				t.Fatal(err)
			}
		}
	}
	f.Close()
	l = mustOpen(t, cfg)
	add(t, l, 2, 4)
	damage := 0
	for m := range l.ReadLogs(context.Background(), all).Msg {
		if m.Err != nil {
			damage++
		}
	}
	if damage != 1 {
		t.Errorf("%d reports", damage)
	}
	for _, r := range []reads{l, mustReader(t, cfg)} {
		for n := 1; n <= 2; n++ {
			expect(t, r, logdriver.ReadConfig{Tail: n}, texts(4-n, 4))
		}
	}
	l.Close()
	removeIndexes(t, cfg)
	w := l.ReadLogs(context.Background(), logdriver.ReadConfig{Tail: 3})
	if got := drainAll(t, w); len(got) != 4 || got[0] != text(1) || got[3] != text(3) {
		t.Errorf("%q", got)
	}
}

// Other programs truncate, remove and append to log files.
func TestInterference(t *testing.T) {
	t.Run("truncated", func(t *testing.T) {
		cfg := config(t)
		l := mustOpen(t, cfg)
		add(t, l, 0, 3)
		w := l.ReadLogs(context.Background(), logdriver.ReadConfig{Tail: -1, Follow: true})
		take(t, w, 3)
		if err := os.Truncate(cfg.Path, 0); err != nil {
			t.Fatal(err)
		}
		add(t, l, 3, 4)
		add(t, l, 4, 5)
		expect(t, l, all, texts(3, 5))
		l.Close()
		got := drainAll(t, w)
		if len(got) < 2 || !slices.Equal(got[len(got)-2:], texts(3, 5)) {
			t.Errorf("%q", got)
		}
		if l = mustOpen(t, cfg); l.LastSeq() != 5 {
			t.Errorf("last sequence %d", l.LastSeq())
		}
	})
	t.Run("removed", func(t *testing.T) {
		cfg := config(t)
		l := mustOpen(t, cfg)
		add(t, l, 0, 3)
		os.Remove(cfg.Path)
		add(t, l, 3, 5)
		expect(t, l, all, texts(3, 5))
		expect(t, mustReader(t, cfg), all, texts(3, 5))
	})
	t.Run("appended to", func(t *testing.T) {
		cfg := config(t)
		l := mustOpen(t, cfg)
		add(t, l, 0, 3)
		write(t, cfg.Path, string(plainFormat{}.Append(nil, numbered(9, 10)[0]))+"torn")
		add(t, l, 3, 5)
		got := drainAll(t, l.ReadLogs(context.Background(), all))
		if len(got) != 7 || got[3] != text(9) || got[6] != text(4) {
			t.Errorf("%q", got)
		}
	})
}

// A damaged .gz costs what is damaged, no more.
func TestDamagedGzip(t *testing.T) {
	cfg := config(t)
	cfg.MaxSize, cfg.MaxFiles, cfg.Compress = size(0, 2), 4, true
	l := mustOpen(t, cfg)
	add(t, l, 0, 5)
	until(t, "compressed", func() bool {
		return exists(cfg.names().packed(2)) && !exists(cfg.names().file(2)) && exists(cfg.names().packed(1)) && !exists(cfg.names().file(1))
	})
	l.Close()
	if err := os.Truncate(cfg.names().packed(2), 20); err != nil {
		t.Fatal(err)
	}
	got := drainAll(t, mustReader(t, cfg).ReadLogs(context.Background(), all))
	if len(got) != 4 || !strings.HasPrefix(got[0], "error: damage") || !slices.Equal(got[1:], texts(2, 5)) {
		t.Errorf("%q", got)
	}
}

func BenchmarkSince(b *testing.B) {
	cfg := Config{Path: filepath.Join(b.TempDir(), "x"), Format: plainFormat{}}
	l := mustOpen(b, cfg)
	const n = 200_000
	line := bytes.Repeat([]byte("0123456789"), 10)
	var msgs []*logdriver.Message
	for i := range n {
		msgs = append(msgs, &logdriver.Message{Line: line, Timestamp: at(i)})
		if len(msgs) == 1000 {
			if err := l.Append(msgs); err != nil {
				b.Fatal(err)
			}
			msgs = msgs[:0]
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		w := l.ReadLogs(context.Background(), logdriver.ReadConfig{Tail: -1, Since: at(n / 2), Until: at(n/2 + 1)})
		if got := drainAll(b, w); len(got) != 2 {
			b.Fatal(len(got))
		}
	}
}
