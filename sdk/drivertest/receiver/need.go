package receiver

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Need returns the path of a program. Where there is none, it skips the test
// and says what is missing; with CI=true in the environment the test fails
// instead. "make deps" installs what this project's tests need.
func Need(t testing.TB, program string) string {
	t.Helper()
	path, err := Find(program)
	if err != nil {
		Missing(t, err.Error())
	}
	return path
}

// NeedRoot skips or fails the test, as Need does, if it does not run as root.
func NeedRoot(t testing.TB) {
	t.Helper()
	if os.Getuid() != 0 {
		Missing(t, "it needs root")
	}
}

// Missing ends the test because something that it needs cannot be had here: it
// is skipped, or with CI=true in the environment it fails.
func Missing(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("cannot run: %s", why)
	}
	t.Skipf("skipped: %s", why)
}

// Find looks for a program: where "make deps" unpacks those that cannot be
// installed beside each other, on PATH, and where daemons are.
func Find(program string) (string, error) {
	places := []string{program, "/usr/sbin/" + program, "/usr/local/sbin/" + program, "/lib/systemd/" + program}
	if unpacked := unpackedPath(program); unpacked != "" {
		places = append([]string{unpacked}, places...)
	}
	for _, name := range places {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not installed (make deps installs it as root on Debian)", program)
}

// unpackedPath returns where "make deps" puts a program of its own; empty
// outside of the module.
func unpackedPath(program string) string {
	dir, err := os.Getwd()
	if err != nil {
		return ""
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, ".ci", "deps")); err == nil {
			return filepath.Join(dir, ".cache", "deps", "bin", program)
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return ""
		}
		dir = parent
	}
}
