package importer

import (
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
