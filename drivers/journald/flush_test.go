package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/logplug/logplug/drivers/journald/internal/journal"
	"github.com/logplug/logplug/sdk/drivertest/receiver"
	"github.com/logplug/logplug/shared/logdriver"
)

// volatile is a journald that keeps the journal in /run until it is flushed.
type volatile struct {
	*receiver.Journald
	run, disk string // directories with files
}

func startVolatile(t *testing.T) volatile {
	t.Helper()
	j := receiver.StartJournald(t, receiver.JournaldConfig{})
	disk, err := filepath.Glob(filepath.Join(j.Directory, "*"))
	if err != nil || len(disk) != 1 {
		t.Fatalf("%q, %v", disk, err)
	}
	if err := j.Stop(); err != nil {
		t.Fatal(err)
	}
	run := filepath.Join(filepath.Dir(j.Directory), "run")
	if err := os.Remove(filepath.Join(run, "systemd/journal/flushed")); err != nil {
		t.Fatal(err)
	}
	if err := j.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return volatile{j, filepath.Join(run, "log/journal", filepath.Base(disk[0])), disk[0]}
}

// reader returns a reader of the log of l in directories.
func (v *volatile) reader(t *testing.T, l *logger, dirs ...string) *journal.Reader {
	t.Helper()
	r := journal.NewReader(dirs, fieldEpoch, l.enc.epoch)
	t.Cleanup(r.Close)
	refresh(t, r)
	return r
}

func refresh(t *testing.T, r *journal.Reader) {
	t.Helper()
	if err := r.Refresh(); err != nil {
		t.Fatal(err)
	}
}

// await waits until a directory has n entries of the log of l.
func (v *volatile) await(t *testing.T, l *logger, dir string, n uint64) {
	t.Helper()
	r := v.reader(t, l, dir)
	eventually(t, func() error {
		refresh(t, r)
		if got := r.Pending(); got != n {
			return fmt.Errorf("%d of %d entries are in %s", got, n, dir)
		}
		return nil
	})
}

// flush makes journald move the n entries of the log of l to the disk.
func (v *volatile) flush(t *testing.T, l *logger, n uint64) {
	t.Helper()
	if err := syscall.Kill(v.Pid(), syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	v.await(t, l, v.disk, n)
}

// open opens a logger that looks for its messages in both directories.
func (v *volatile) open(t *testing.T) *logger {
	t.Helper()
	l := mustOpen(t, v.Journald, logdriver.Info{ContainerID: "flushed", Stream: "s"}, nil)
	t.Cleanup(func() { mustClose(t, l) })
	l.store.entries.Close()
	l.store = newStore(&l.sock, v.reader(t, l, v.disk, v.run), map[uint64]bool{})
	return l
}

// What journald copies to the disk does not count as new, neither for who writes nor for
// who follows.
func TestFlush(t *testing.T) {
	t.Parallel()
	v := startVolatile(t)
	l := v.open(t)
	follower := v.reader(t, l, v.disk, v.run)
	follower.ForwardOnly()
	mustLog(t, l, numbered(1, 100)...)
	refresh(t, follower)
	wantNumbers(t, follower, 1, 100)
	v.flush(t, l, 100)
	if err := l.store.await(t.Context(), 50); !errors.Is(err, errNotStored) {
		t.Errorf("messages that were not sent: %v", err)
	}
	refresh(t, follower)
	wantNumbers(t, follower, 101, 100)
	mustLog(t, l, numbered(101, 150)...)
	refresh(t, follower)
	wantNumbers(t, follower, 101, 150)
	wantNumbers(t, v.reader(t, l, v.disk, v.run), 1, 150)
}

// The same if entries are copied that were not seen in their first place.
func TestFlushUnread(t *testing.T) {
	t.Parallel()
	v := startVolatile(t)
	l := v.open(t)
	follower := v.reader(t, l, v.disk, v.run)
	follower.ForwardOnly()
	mustLog(t, l, numbered(1, 100)...)
	refresh(t, follower)
	wantNumbers(t, follower, 1, 100)
	if n, err := l.send(t.Context(), numbered(101, 150), nil); n != 50 || err != nil {
		t.Fatal(n, err)
	}
	v.await(t, l, v.run, 150)
	for _, r := range []*journal.Reader{l.store.entries, follower} {
		refresh(t, r)
	}
	v.flush(t, l, 150)
	for _, r := range []*journal.Reader{l.store.entries, follower} {
		refresh(t, r)
		if n := r.Pending(); n != 50 {
			t.Errorf("%d entries are new", n)
		}
		wantNumbers(t, r, 101, 150)
	}
}

// wantNumbers checks that what follows are the messages from first to last.
func wantNumbers(t *testing.T, r *journal.Reader, first, last uint64) {
	t.Helper()
	var e journal.Entry
	for want := first; ; want++ {
		ok, err := next(t.Context(), nil, r, &e)
		switch {
		case err != nil:
			t.Fatal(err)
		case !ok && want == last+1:
			return
		case !ok || want > last:
			t.Fatalf("message %d, want %d to %d: there is one: %v", want, first, last, ok)
		}
		if got := ordinal(&e); got != want {
			t.Fatalf("message %d, want %d", got, want)
		}
	}
}
