package main

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/logplug/logplug/drivers/journald/internal/journal"
	"github.com/logplug/logplug/shared/logdriver"
)

// unprivileged calls f with the rights of nobody on files.
func unprivileged(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() == 0 {
		const nobody = 65534
		runtime.LockOSThread() // the rights are the thread's
		defer runtime.UnlockOSThread()
		if err := syscall.Setfsuid(nobody); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = syscall.Setfsuid(0) }()
	}
	f()
}

// A user who finds nothing of a log, and may not read all files, is told so. What he
// finds he may read.
func TestDenied(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "journald") // others may not enter t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	image := goldenImage(t)
	for name, mode := range map[string]os.FileMode{"user-1000.journal": 0o644, "system.journal": 0} {
		if err := os.WriteFile(filepath.Join(dir, name), image, mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	read := func(id string, follow bool) (w *logdriver.LogWatcher) {
		unprivileged(t, func() {
			log := remoteLog{place{field: fieldIDFull, value: id, parent: dir}}
			w = log.ReadLogs(t.Context(), logdriver.ReadConfig{Tail: -1, Follow: follow})
		})
		return w
	}
	n := 0
	for _, err := range read("golden", false).All() {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 21 {
		t.Errorf("%d messages", n)
	}
	for _, follow := range []bool{false, true} {
		var end error
		for _, err := range read("hidden", follow).All() {
			end = err
		}
		if !errors.Is(end, journal.ErrDenied) {
			t.Errorf("a log that may be in the other file ends with %v", end)
		}
	}
}
