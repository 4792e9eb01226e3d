package cli

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestParseOptions(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "opts")
	if err := os.WriteFile(file, []byte("# secrets\n\ntoken=a=b # c\r\nsize=1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := parseOptions([]string{"size=2", "empty="}, []string{file})
	want := map[string]string{"token": "a=b # c", "size": "2", "empty": ""}
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}

func TestParseErrorsHaveNoValues(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	bad, long := filepath.Join(dir, "bad"), filepath.Join(dir, "long")
	for path, text := range map[string]string{bad: "a=b\nhunter2\n", long: strings.Repeat("hunter2\n#", maxFileBytes/8)} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, try := range []struct{ args, files []string }{
		{args: []string{"hunter2"}}, {args: []string{"=hunter2"}}, {files: []string{bad}}, {files: []string{long}},
		{files: []string{filepath.Join(dir, "absent")}},
	} {
		if _, err := parseOptions(try.args, try.files); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q, %q: error %v", try.args, try.files, err)
		}
	}
}

func TestParseEnv(t *testing.T) {
	t.Parallel()
	lookup := func(name string) (string, bool) { return "from outside", name == "SET" }
	got, err := parseEnv([]string{"A=1", "SET", "UNSET", "B="}, nil, lookup)
	if want := []string{"A=1", "SET=from outside", "B="}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}
