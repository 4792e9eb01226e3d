package importer

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestFind(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{
		"a.log", "a.log.1", "a.log.2.gz", "a.log.10.gz", "a.log.1.gz", "a.log.idx", "a.log.lock", "a.log.1.tmp", "aa.log", "a.log.99999999999",
		"0.log", "0.log.20260102-030405.gz", "0.log.20260101-000000.gz", "0.log.20260103-000000",
	} {
		write(t, filepath.Join(dir, name), "x")
	}
	for path, want := range map[string][]string{
		"a.log": {"a.log.10.gz", "a.log.2.gz", "a.log.1", "a.log"},
		"0.log": {"0.log.20260101-000000.gz", "0.log.20260102-030405.gz", "0.log.20260103-000000", "0.log"},
	} {
		files, err := Find([]string{filepath.Join(dir, path), filepath.Join(dir, path)})
		if err != nil {
			t.Fatal(err)
		}
		defer Close(files)
		var names []string
		for _, f := range files {
			names = append(names, filepath.Base(f.Path))
		}
		if d := cmp.Diff(want, names); d != "" {
			t.Errorf("%s: %s", path, d)
		}
	}
	if _, err := Find([]string{dir}); err == nil {
		t.Error("a directory was taken for a file")
	}
	if _, err := Find([]string{filepath.Join(dir, "none")}); err == nil {
		t.Error("a file was found that is not there")
	}
}

// rotate begins a new log with this text. The log becomes log.1, and that log.2.
func rotate(t *testing.T, log, text string) {
	t.Helper()
	for _, names := range [][2]string{{log + ".1", log + ".2"}, {log, log + ".1"}} {
		if err := os.Rename(names[0], names[1]); err != nil {
			t.Fatal(err)
		}
	}
	write(t, log, text)
}

// TestFindRotated rotates when the names are known and nothing is opened yet.
func TestFindRotated(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "a.log")
	write(t, log+".1", "old")
	write(t, log, "new")
	done := false
	files, err := find([]string{log}, func(path string) (File, error) {
		if !done {
			done = true
			rotate(t, log, "newest")
		}
		return openFile(path)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer Close(files)
	var texts []string
	for _, f := range files {
		text, err := io.ReadAll(f.file)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(text))
	}
	if d := cmp.Diff([]string{"old", "new", "newest"}, texts); d != "" {
		t.Error(d)
	}
}

// TestFindAlwaysRotated rotates each time that the log is looked for.
func TestFindAlwaysRotated(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "a.log")
	write(t, log+".1", "old")
	write(t, log, "new")
	_, err := find([]string{log}, func(path string) (File, error) {
		if path == log {
			rotate(t, log, "newest")
		}
		return openFile(path)
	})
	if !errors.Is(err, errRotated) {
		t.Errorf("got %v, want %v", err, errRotated)
	}
}
