package letters

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/logplug/logplug/host"
)

func letterLine(t *testing.T, text string) []byte {
	t.Helper()
	b, err := json.Marshal(host.DeadLetter{Driver: "d", Line: []byte(text)})
	if err != nil {
		t.Fatal(err)
	}
	return append(b, '\n')
}

func write(t *testing.T, path string, texts ...string) {
	t.Helper()
	for _, s := range texts {
		if err := appendTo(path, letterLine(t, s)); err != nil {
			t.Fatal(err)
		}
	}
}

func texts(f *File) (list []string, bad int) {
	for d, err := range f.All() {
		if err != nil {
			bad++
			continue
		}
		list = append(list, string(d.Line))
	}
	return list, bad
}

func wantTexts(t *testing.T, f *File, want ...string) {
	t.Helper()
	got, _ := texts(f)
	if len(got) != len(want) {
		t.Fatalf("letters %q, want %q", got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("letters %q, want %q", got, want)
		}
	}
}

func TestNothingThere(t *testing.T) {
	f := NewFile(filepath.Join(t.TempDir(), "absent"))
	wantTexts(t, f)
	if _, err := f.Take(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Take: %v, want fs.ErrNotExist", err)
	}
	left, err := os.ReadDir(filepath.Dir(f.Path()))
	if err != nil || len(left) != 0 {
		t.Errorf("files %v, %v: want none", left, err)
	}
}

// TestTakeSome removes some letters while hosts go on appending.
func TestTakeSome(t *testing.T) {
	f := NewFile(filepath.Join(t.TempDir(), "letters"))
	write(t, f.Path(), "a", "b")
	if err := appendTo(f.Path(), []byte("garbage\n")); err != nil {
		t.Fatal(err)
	}
	write(t, f.Path(), "c")
	taken, err := f.Take()
	if err != nil {
		t.Fatal(err)
	}
	write(t, f.Path(), "later")
	wantTexts(t, f, "a", "b", "c", "later")
	synctest.Test(t, func(t *testing.T) { // the time for which it waits passes at once
		if _, err := f.Take(); !errors.Is(err, ErrInUse) {
			t.Errorf("second Take: %v, want ErrInUse", err)
		}
	})
	for e := range taken.All() {
		if e.Err == nil && string(e.Letter.Line) != "b" {
			taken.Done(e.Index)
		}
	}
	if err := taken.Close(); err != nil {
		t.Fatal(err)
	}
	wantTexts(t, f, "later", "b")
	if _, bad := texts(f); bad != 1 {
		t.Errorf("%d lines that are no letter, want the one that was there", bad)
	}
}

// TestTakeAll leaves no file but the lock.
func TestTakeAll(t *testing.T) {
	f := NewFile(filepath.Join(t.TempDir(), "letters"))
	write(t, f.Path(), "a")
	taken, err := f.Take()
	if err != nil {
		t.Fatal(err)
	}
	for e := range taken.All() {
		taken.Done(e.Index)
	}
	if err := taken.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(f.Path()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file: %v, want it gone", err)
	}
}

// TestEmptyLine: two who write ended one torn line. It is no letter, and moves no other.
func TestEmptyLine(t *testing.T) {
	t.Parallel()
	f := NewFile(filepath.Join(t.TempDir(), "letters"))
	text := slices.Concat(letterLine(t, "a"), []byte("\n\r\n"), letterLine(t, "b"), letterLine(t, "c"))
	if err := os.WriteFile(f.Path(), text, 0o600); err != nil {
		t.Fatal(err)
	}
	taken, err := f.Take()
	if err != nil {
		t.Fatal(err)
	}
	for e := range taken.All() {
		if string(e.Letter.Line) == "b" {
			taken.Done(e.Index)
		}
	}
	if err := taken.Close(); err != nil {
		t.Fatal(err)
	}
	wantTexts(t, f, "a", "c")
	if _, bad := texts(f); bad != 0 {
		t.Errorf("%d lines that are no letter", bad)
	}
}

// TestKilledWhileTaken takes up what a killed process had taken.
func TestKilledWhileTaken(t *testing.T) {
	f := NewFile(filepath.Join(t.TempDir(), "letters"))
	write(t, f.Path(), "a")
	taken, err := f.Take()
	if err != nil {
		t.Fatal(err)
	}
	if err := taken.lock.Close(); err != nil { // as its end does
		t.Fatal(err)
	}
	write(t, f.Path(), "b")
	wantTexts(t, f, "a", "b")
	if taken, err = f.Take(); err != nil {
		t.Fatal(err)
	}
	if err := taken.Close(); err != nil {
		t.Fatal(err)
	}
	wantTexts(t, f, "b", "a")
}

// TestPutBackBehindTorn: a host was killed in the middle of its first letter.
func TestPutBackBehindTorn(t *testing.T) {
	t.Parallel()
	f := NewFile(filepath.Join(t.TempDir(), "letters"))
	write(t, f.Path(), "a", "b")
	taken, err := f.Take()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(f.Path(), letterLine(t, "torn")[:20], 0o600); err != nil {
		t.Fatal(err)
	}
	if err := taken.Close(); err != nil {
		t.Fatal(err)
	}
	wantTexts(t, f, "a", "b")
	if _, bad := texts(f); bad != 1 {
		t.Errorf("%d lines that are no letter, want the torn one", bad)
	}
}

// TestNoAppendIsLost takes while many append.
func TestNoAppendIsLost(t *testing.T) {
	const writers, each = 4, 200
	f := NewFile(filepath.Join(t.TempDir(), "letters"))
	write(t, f.Path(), "first")
	lines := make([][]byte, writers)
	for i := range lines {
		lines[i] = letterLine(t, strconv.Itoa(i))
	}
	var wg sync.WaitGroup
	for _, line := range lines {
		wg.Go(func() {
			for range each {
				if err := appendTo(f.Path(), line); err != nil {
					t.Error(err)
				}
			}
		})
	}
	appended := make(chan struct{})
	go func() { wg.Wait(); close(appended) }()
	seen := 0
	take := func() {
		taken, err := f.Take()
		if errors.Is(err, fs.ErrNotExist) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		for e := range taken.All() {
			if e.Err != nil {
				t.Error(e.Err)
			}
			taken.Done(e.Index)
			seen++
		}
		if err := taken.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for running := true; running; {
		select {
		case <-appended:
			running = false
		default:
		}
		take()
	}
	if want := 1 + writers*each; seen != want {
		t.Errorf("%d letters, want %d", seen, want)
	}
}
