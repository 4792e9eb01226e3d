package logfile

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/logplug/logplug/shared/logdriver"
)

// lasting notes how much of a file survives a loss of power.
type lasting struct {
	*faulty
	durable int64
}

func (f *lasting) Sync() error {
	if err := f.faulty.Sync(); err != nil {
		return err
	}
	size, _, err := f.status()
	f.durable = size
	return err
}

// A batch that comes to an error, of whatever kind, after messages of it were written
// reports as held what is durable, and no more.
func TestErrorsAfterUnsyncedWrites(t *testing.T) {
	t.Parallel()
	for name, provoke := range map[string]func(*testing.T, *Log, *lasting){
		"write": func(_ *testing.T, _ *Log, f *lasting) { f.room = int(size(1, 5)) + 3 },
		"claim": func(t *testing.T, l *Log, _ *lasting) {
			l.cur.idx.f.Close()
			obstruct(t, l.names.index(0))
		},
		"rotate": func(t *testing.T, l *Log, f *lasting) {
			l.cfg.MaxSize = size(0, 3)
			obstruct(t, l.names.fresh())
		},
	} {
		for _, broken := range []bool{false, true} {
			cfg := config(t)
			cfg.Sync, cfg.OnError = SyncBatch, func(error) {}
			l := mustOpen(t, cfg)
			f := &lasting{&faulty{writableFile: l.cur.f, room: -1}, 0}
			l.cur.f = f
			add(t, l, 0, 1)
			provoke(t, l, f)
			if broken {
				f.sync = syscall.EIO
			}
			msgs := numbered(1, 6)
			for _, m := range msgs[3:] {
				m.Seq++ // which takes a write of its own
			}
			var batch *logdriver.BatchError
			if err := l.Append(msgs); !errors.As(err, &batch) {
				t.Fatalf("%s: %v", name, err)
			}
			held := size(0, 1+batch.Done)
			if n, _, err := f.status(); err != nil || n != held || f.durable != held || broken != (batch.Done == 0) {
				t.Errorf("%s, sync fails: %v: %d done, %d bytes written, %d durable, want %d", name, broken, batch.Done, n, f.durable, held)
			}
			expect(t, l, all, texts(0, 1+batch.Done))
			kill(l)
		}
	}
}

// obstruct puts something in the place of a file that is not removed easily.
func obstruct(t *testing.T, name string) {
	t.Helper()
	if err := os.RemoveAll(name); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(name, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
}

// After a file could not be made durable, that it can be a moment later tells nothing
// of what was written before.
func TestFailedSyncOfFullFile(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.Sync, cfg.MaxSize = SyncBatch, size(0, 3)
	l := mustOpen(t, cfg)
	add(t, l, 0, 1)
	f := &failingOnce{writableFile: l.cur.f}
	l.cur.f = f
	var batch *logdriver.BatchError
	if err := l.Append(numbered(1, 6)); !errors.As(err, &batch) || batch.Done != 0 || !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	expect(t, l, all, texts(0, 1))
	l.cfg.MaxFiles = 3
	add(t, l, 1, 6)
	expect(t, l, all, texts(0, 6))
}

// failingOnce fails to be made durable once.
type failingOnce struct {
	writableFile
	failed bool
}

func (f *failingOnce) Sync() error {
	if !f.failed {
		f.failed = true
		return syscall.EIO
	}
	return f.writableFile.Sync()
}

// What is taken back leaves the file as it was, with an incomplete record at its end.
func TestTakenBackAfterIncompleteRecord(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.Sync = SyncBatch
	l := mustOpen(t, cfg)
	write(t, cfg.Path, "torn")
	l.cur.size, l.cur.needsSeparator = 4, true
	l.cur.f = &failingOnce{writableFile: l.cur.f}
	if err := l.Append(numbered(0, 2)); err == nil {
		t.Fatal("no error")
	}
	add(t, l, 0, 2)
	if got := drainAll(t, l.ReadLogs(t.Context(), all)); len(got) != 3 || got[1] != text(0) {
		t.Errorf("%q", got)
	}
}
