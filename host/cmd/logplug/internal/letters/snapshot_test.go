package letters

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/logplug/logplug/host"
)

// TestListedWhileMoved lists while another process takes the file and puts it back, each
// at the moment at which one of the two files was looked for and the other was not.
func TestListedWhileMoved(t *testing.T) {
	t.Parallel()
	for what, moves := range map[string]func(t *testing.T, f *File){
		"taken":                 func(t *testing.T, f *File) { take(t, f) },
		"taken, and a new file": func(t *testing.T, f *File) { take(t, f); write(t, f.Path(), "b") },
		"taken and put back": func(t *testing.T, f *File) {
			if err := take(t, f).Close(); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			f := NewFile(filepath.Join(t.TempDir(), "letters"))
			write(t, f.Path(), "a")
			opened := 0
			s, err := f.openBy(func(path string) (*os.File, error) {
				if opened++; opened == 2 {
					moves(t, f)
				}
				return openIfThere(path)
			})
			if err != nil {
				t.Fatal(err)
			}
			defer s.close()
			for _, file := range s {
				for d, err := range host.DecodeDeadLetters(file, file.Name()) {
					if err == nil && string(d.Line) == "a" {
						return
					}
				}
			}
			t.Errorf("a letter is missing in %d files", len(s))
		})
	}
}

// TestListedAllTheTimeMoved ends nevertheless.
func TestListedAllTheTimeMoved(t *testing.T) {
	t.Parallel()
	f := NewFile(filepath.Join(t.TempDir(), "letters"))
	write(t, f.Path(), "a")
	if _, err := f.openBy(func(path string) (*os.File, error) {
		file, err := openIfThere(path)
		if path == f.Path() {
			write(t, path+".other", "a")
			err = os.Rename(path+".other", path)
		}
		return file, err
	}); err == nil {
		t.Error("it is listed while it changes")
	}
}

// take takes the file, which nobody gives back before the test's end.
func take(t *testing.T, f *File) *Taken {
	t.Helper()
	taken, err := f.Take()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.lock.Close() }) // it may be closed already
	return taken
}
