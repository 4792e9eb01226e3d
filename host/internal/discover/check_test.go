//go:build unix

package discover

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCheck: what a driver that was found may have become.
func TestCheck(t *testing.T) {
	for _, tt := range []struct {
		rule   string
		change func(t *testing.T, path string) error
		want   string // a part of the reason; empty for a usable driver
	}{
		{"as it was", func(*testing.T, string) error { return nil }, ""},
		{"gone", func(_ *testing.T, p string) error { return os.Remove(p) }, "no such file"},
		{"writable", func(_ *testing.T, p string) error { return os.Chmod(p, 0o777) }, "everybody can write to it"},
		{"not executable", func(_ *testing.T, p string) error { return os.Chmod(p, 0o644) }, "not executable"},
		{"in a directory of everybody's", func(_ *testing.T, p string) error { return os.Chmod(filepath.Dir(p), 0o777) }, "directory not used"},
		{"a link that leads out", func(t *testing.T, p string) error {
			if err := os.Remove(p); err != nil {
				return err
			}
			return os.Symlink(put(t, filepath.Join(newDir(t), "program"), 0o755), p)
		}, "leaves the directory"},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			path := put(t, filepath.Join(newDir(t), "logplug-driver-a"), 0o755)
			if err := tt.change(t, path); err != nil {
				t.Fatal(err)
			}
			err := Check(path)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Check = %v, want %q", err, tt.want)
			}
		})
	}
}
