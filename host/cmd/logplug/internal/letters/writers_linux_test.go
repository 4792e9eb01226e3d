package letters

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"

	"github.com/logplug/logplug/sdk/drivertest/receiver"
	"golang.org/x/sys/unix"
)

// slowHost has a file open, to which it has not written yet.
func slowHost(t *testing.T, path string) *os.File {
	t.Helper()
	w, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	r, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	switch _, err := unix.FcntlInt(r.Fd(), unix.F_SETLEASE, unix.F_RDLCK); err {
	case unix.EAGAIN: // somebody has it open for writing
	case nil:
		t.Fatal("a lease is granted of a file that is open for writing")
	default:
		receiver.Missing(t, fmt.Sprintf("the file system has no leases: %v", err))
	}
	return w
}

// TestSlowHost takes while a host is about to write, as often as a user tries again.
func TestSlowHost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // the time that Take waits passes at once
		f := NewFile(filepath.Join(t.TempDir(), "letters"))
		write(t, f.Path(), "a")
		host := slowHost(t, f.Path())
		for range 2 {
			if taken, err := f.Take(); err == nil {
				t.Error("it is taken before a host has written", taken.Close())
			}
		}
		if _, err := host.Write(letterLine(t, "late")); err != nil {
			t.Fatal(err)
		}
		if err := host.Close(); err != nil {
			t.Fatal(err)
		}
		taken, err := f.Take()
		if err != nil {
			t.Fatal(err)
		}
		for e := range taken.All() {
			if string(e.Letter.Line) == "a" {
				taken.Done(e.Index)
			}
		}
		if err := taken.Close(); err != nil {
			t.Fatal(err)
		}
		wantTexts(t, f, "late")
	})
}
