//go:build unix

package launch

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// shortDir returns a directory whose path is short enough for sockets.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "t")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func TestNewSocketDir(t *testing.T) {
	parent := filepath.Join(shortDir(t), "new")
	dir, release, err := NewSocketDir(parent)
	if err != nil {
		t.Fatal(err)
	}
	fi, err := os.Lstat(dir)
	if err != nil || fi.Mode().Perm() != 0o700 || filepath.Dir(dir) != parent {
		t.Errorf("%s: %v, %v", dir, fi.Mode(), err)
	}
	other, releaseOther, err := NewSocketDir(parent)
	if err != nil {
		t.Fatal(err)
	}
	if !exists(dir) || other == dir {
		t.Error("a directory in use was swept")
	}
	for range 2 {
		if err := release(); err != nil {
			t.Error(err)
		}
	}
	if exists(dir) || !exists(other) {
		t.Error("release removed the wrong thing")
	}
	if err := releaseOther(); err != nil {
		t.Error(err)
	}
}

func TestNewSocketDirTooLong(t *testing.T) {
	long := filepath.Join(shortDir(t), strings.Repeat("x", 100))
	dir, release, err := NewSocketDir(long)
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Dir(dir) != filepath.Clean(os.TempDir()) {
		t.Errorf("%s is not in the temporary directory", dir)
	}
	if err := release(); err != nil {
		t.Error(err)
	}
	t.Setenv("TMPDIR", long)
	if _, _, err := NewSocketDir(""); err == nil || !strings.Contains(err.Error(), "TMPDIR") {
		t.Errorf("err = %v", err)
	}
}

func TestNewSocketDirRefusesParent(t *testing.T) {
	open := shortDir(t)
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, _, err := NewSocketDir(open); err == nil || !strings.Contains(err.Error(), "others can write") {
		t.Errorf("err = %v", err)
	}
	file := filepath.Join(shortDir(t), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := NewSocketDir(file); err == nil {
		t.Error("a file is no directory")
	}
}

// left makes the directory of a host that is gone, with a process that runs.
func left(t *testing.T, parent, record string) (string, *exec.Cmd) {
	t.Helper()
	dir, _, err := NewSocketDir(parent)
	if err != nil {
		t.Fatal(err)
	}
	l, err := os.ReadFile(filepath.Join(dir, lockFile))
	if err != nil {
		t.Fatal(err)
	}
	// A lock that this process does not hold: the file is another one.
	if err := os.Remove(filepath.Join(dir, lockFile)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, lockFile), l, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sleep", "600")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	sub, err := makeProcessDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := writeRecord(sub, cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	if record != "" {
		text := strings.ReplaceAll(record, "PID", fmt.Sprint(cmd.Process.Pid))
		if err := os.WriteFile(filepath.Join(sub, recordFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir, cmd
}

func TestSweepKillsLeftOvers(t *testing.T) {
	parent := shortDir(t)
	dir, cmd := left(t, parent, "")
	_, release, err := NewSocketDir(parent)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = release() }()
	if exists(dir) {
		t.Error("the directory is still there")
	}
	eventually(t, "the left-over process ends", func() bool { return gone(cmd.Process.Pid) })
}

// A number that is another process's by now is left alone.
func TestSweepSparesOthers(t *testing.T) {
	for _, record := range []string{"PID someone-else\n", "PID", "", "-1 x\n", "1 x\n", "garbage\x00"} {
		if record == "" {
			continue
		}
		parent := shortDir(t)
		dir, cmd := left(t, parent, record)
		sweep(parent)
		if exists(dir) {
			t.Errorf("record %q: the directory is still there", record)
		}
		if gone(cmd.Process.Pid) {
			t.Errorf("record %q: the process was killed", record)
		}
	}
}

// Directories that are being made, of other users, or not private are left.
func TestSweepSparesDirectories(t *testing.T) {
	parent := shortDir(t)
	fresh := filepath.Join(parent, socketDirPrefix+"1")
	shared := filepath.Join(parent, socketDirPrefix+"2")
	for _, dir := range []string{fresh, shared} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(shared, lockFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(shared, 0o755); err != nil {
		t.Fatal(err)
	}
	sweep(parent)
	if !exists(fresh) || !exists(shared) {
		t.Error("they were removed")
	}
}
