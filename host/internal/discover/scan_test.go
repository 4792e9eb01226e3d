//go:build unix

package discover

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// put makes a file with exactly the given mode.
func put(t *testing.T, path string, mode fs.FileMode) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func link(t *testing.T, target, path string) {
	t.Helper()
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

func newDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestScanOneFile(t *testing.T) {
	for _, tt := range []struct {
		rule    string
		file    string
		make    func(t *testing.T, path string)
		name    string
		skipped string // a part of the reason; empty for a usable driver
	}{
		{"a driver", "logplug-driver-a1-b", func(t *testing.T, p string) { put(t, p, 0o755) }, "a1-b", ""},
		{"only the owner may execute", "logplug-driver-a", func(t *testing.T, p string) { put(t, p, 0o500) }, "a", ""},
		{"not executable", "logplug-driver-a", func(t *testing.T, p string) { put(t, p, 0o644) }, "a", "not executable"},
		{"another name", "README.txt", func(t *testing.T, p string) { put(t, p, 0o644) }, "", "does not begin with logplug-driver-"},
		{"upper case", "logplug-driver-Foo", func(t *testing.T, p string) { put(t, p, 0o755) }, "", `"Foo" is not a driver's name`},
		{"a suffix", "logplug-driver-foo.bak", func(t *testing.T, p string) { put(t, p, 0o755) }, "", "is not a driver's name"},
		{"no name", "logplug-driver-", func(t *testing.T, p string) { put(t, p, 0o755) }, "", "is not a driver's name"},
		{"world-writable", "logplug-driver-a", func(t *testing.T, p string) { put(t, p, 0o757) }, "a", "everybody can write"},
		{"group-writable, own group", "logplug-driver-a", func(t *testing.T, p string) {
			put(t, p, 0o775)
			chgrp(t, p, os.Geteuid())
		}, "a", ""},
		{"group-writable, another group", "logplug-driver-a", func(t *testing.T, p string) {
			put(t, p, 0o775)
			chgrp(t, p, os.Geteuid()+4242)
		}, "a", "group"},
		{"of another user", "logplug-driver-a", func(t *testing.T, p string) {
			put(t, p, 0o755)
			if os.Geteuid() != 0 {
				t.Skip("needs root")
			}
			if err := os.Chown(p, 4242, 4242); err != nil {
				t.Fatal(err)
			}
		}, "a", "belongs to user 4242"},
		{"a directory", "logplug-driver-a", func(t *testing.T, p string) { put(t, filepath.Join(p, "x"), 0o755) }, "a", "a directory"},
		{"a named pipe", "logplug-driver-a", func(t *testing.T, p string) {
			if err := syscall.Mkfifo(p, 0o700); err != nil {
				t.Fatal(err)
			}
		}, "a", "not a regular file"},
		{"a dangling link", "logplug-driver-a", func(t *testing.T, p string) { link(t, "nowhere", p) }, "a", "does not exist"},
		{"a link to itself", "logplug-driver-a", func(t *testing.T, p string) { link(t, filepath.Base(p), p) }, "a", "cannot be followed"},
		{"a link out of the directory", "logplug-driver-a", func(t *testing.T, p string) {
			link(t, put(t, filepath.Join(newDir(t), "x"), 0o755), p)
		}, "a", "leaves the directory"},
		{"a relative link out of the directory", "logplug-driver-a", func(t *testing.T, p string) { link(t, "../../../../../../bin/sh", p) }, "a", "leaves the directory"},
		{"a link within the directory", "logplug-driver-a", func(t *testing.T, p string) {
			put(t, filepath.Join(filepath.Dir(p), ".versions", "a-2"), 0o755)
			link(t, ".versions/a-2", p)
		}, "a", ""},
		{"a link through a directory that others can write to", "logplug-driver-a", func(t *testing.T, p string) {
			v := filepath.Join(filepath.Dir(p), ".versions")
			put(t, filepath.Join(v, "a-2"), 0o755)
			if err := os.Chmod(v, 0o777); err != nil {
				t.Fatal(err)
			}
			link(t, ".versions/a-2", p)
		}, "a", "everybody can write"},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			dir := newDir(t)
			path := filepath.Join(dir, tt.file)
			tt.make(t, path)
			got := Scan([]string{dir})
			if len(got) != 1 {
				t.Fatalf("Scan = %+v, want one candidate", got)
			}
			c := got[0]
			if c.Name != tt.name || c.Path != path {
				t.Errorf("Scan = %+v, want name %q and path %q", c, tt.name, path)
			}
			if (c.Skipped == "") != (tt.skipped == "") || !strings.Contains(c.Skipped, tt.skipped) {
				t.Errorf("Skipped = %q, want %q", c.Skipped, tt.skipped)
			}
		})
	}
}

func chgrp(t *testing.T, path string, gid int) {
	t.Helper()
	if err := os.Chown(path, -1, gid); err != nil {
		t.Skipf("cannot choose the group: %v", err)
	}
}

func TestScanDirectories(t *testing.T) {
	open := newDir(t)
	put(t, filepath.Join(open, "logplug-driver-a"), 0o755)
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(newDir(t), "missing")
	file := put(t, filepath.Join(newDir(t), "file"), 0o644)
	for _, tt := range []struct{ dir, path, skipped string }{
		{open, open, "everybody can write"},
		{missing, missing, "no such directory"},
		{file, file, "not a directory"},
		{"", "", "empty"},
	} {
		got := Scan([]string{tt.dir})
		if len(got) != 1 || got[0].Name != "" || got[0].Path != tt.path || !strings.Contains(got[0].Skipped, tt.skipped) {
			t.Errorf("Scan(%q) = %+v, want one candidate with reason %q", tt.dir, got, tt.skipped)
		}
	}
}

func TestScanClash(t *testing.T) {
	one, two := newDir(t), newDir(t)
	a, b := put(t, filepath.Join(one, "logplug-driver-x"), 0o755), put(t, filepath.Join(two, "logplug-driver-x"), 0o755)
	y := put(t, filepath.Join(two, "logplug-driver-y"), 0o755)
	got := Scan([]string{one, two})
	want := []Candidate{
		{Name: "x", Path: a, Skipped: "there is another driver x: " + b + "; remove all but one"},
		{Name: "x", Path: b, Skipped: "there is another driver x: " + a + "; remove all but one"},
		{Name: "y", Path: y},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// A file that is refused for another reason does not stand in the way.
func TestScanClashWithRefused(t *testing.T) {
	one, two := newDir(t), newDir(t)
	put(t, filepath.Join(one, "logplug-driver-x"), 0o644)
	put(t, filepath.Join(two, "logplug-driver-x"), 0o755)
	got := Scan([]string{one, two})
	if len(got) != 2 || got[0].Skipped == "" || got[1].Skipped != "" {
		t.Errorf("Scan = %+v, want the second one usable", got)
	}
}

func TestScanSameTwice(t *testing.T) {
	dir, other := newDir(t), newDir(t)
	path := put(t, filepath.Join(dir, "logplug-driver-x"), 0o755)
	alias := filepath.Join(newDir(t), "alias")
	link(t, dir, alias)
	if err := os.Link(path, filepath.Join(other, "logplug-driver-x")); err != nil {
		t.Fatal(err)
	}
	want := []Candidate{{Name: "x", Path: path}}
	if d := cmp.Diff(want, Scan([]string{dir, dir + "/", alias, other})); d != "" {
		t.Error(d)
	}
}

func TestScanOrder(t *testing.T) {
	one, two := newDir(t), newDir(t)
	var want []Candidate
	for _, p := range []string{
		filepath.Join(one, "logplug-driver-b"), filepath.Join(one, "logplug-driver-c"), filepath.Join(two, "logplug-driver-a"),
	} {
		put(t, p, 0o755)
		want = append(want, Candidate{Name: strings.TrimPrefix(filepath.Base(p), "logplug-driver-"), Path: p})
	}
	put(t, filepath.Join(one, ".hidden"), 0o755)
	for range 5 {
		if d := cmp.Diff(want, Scan([]string{one, two})); d != "" {
			t.Fatal(d)
		}
	}
}

func TestTrustedMode(t *testing.T) {
	const me = 1000
	for _, tt := range []struct {
		mode     fs.FileMode
		uid, gid int
		ok       bool
	}{
		{0o755, me, me, true},
		{0o755, me, 50, true},
		{0o775, me, me, true},
		{0o775, me, 50, false},
		{0o777, me, me, false},
		{0o755, 0, 0, true},
		{0o775, 0, 0, true},
		{0o775, 0, me, false},
		{0o757, 0, 0, false},
		{0o755, 1001, me, false},
		{0o700, 1001, 1001, false},
	} {
		if err := trustedMode(tt.mode, tt.uid, tt.gid, me); (err == nil) != tt.ok {
			t.Errorf("trustedMode(%o, %d, %d) = %v, want ok %v", tt.mode, tt.uid, tt.gid, err, tt.ok)
		}
	}
}
