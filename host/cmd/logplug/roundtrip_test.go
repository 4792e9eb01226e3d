//go:build unix

package main

import (
	"bytes"
	"crypto/sha256"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// shell is an environment to run logplug in, with a state directory and drivers of
// its own.
type shell struct {
	testing.TB
	env []string
	dir string
}

func newShell(t testing.TB) *shell {
	t.Helper()
	dir := t.TempDir()
	install(t, filepath.Join(dir, "drivers"), jsonfile(t), local(t), driver(t, "box"))
	return &shell{TB: t, dir: dir, env: append(os.Environ(),
		"GORACE="+quickRace, "LOGPLUG_PLUGIN_DIR="+filepath.Join(dir, "drivers"), "LOGPLUG_STATE_DIR="+filepath.Join(dir, "state"))}
}

func (s *shell) command(args ...string) *exec.Cmd {
	cmd := exec.Command("logplug", args...)
	cmd.Env, cmd.Dir = s.env, s.dir
	return cmd
}

// run runs logplug and returns its outputs.
func (s *shell) run(args ...string) (stdout, stderr []byte) {
	s.Helper()
	var out, err bytes.Buffer
	cmd := s.command(args...)
	cmd.Stdout, cmd.Stderr = &out, &err
	if e := cmd.Run(); e != nil {
		s.Fatalf("logplug %q: %v\n%.2000s", args, e, err.Bytes())
	}
	return out.Bytes(), err.Bytes()
}

func (s *shell) file(name string, content []byte) string {
	s.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		s.Fatal(err)
	}
	return path
}

// TestRoundTrip demands that both streams come back byte for byte.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	binary := make([]byte, 50<<20)
	if testing.Short() {
		binary = binary[:4<<20]
	}
	fill := rand.NewChaCha8([32]byte{1})
	_, _ = fill.Read(binary) // never fails
	for name, input := range map[string][]byte{
		"nothing":      {},
		"text":         []byte("one\ntwo\nthree\n"),
		"no newline":   []byte("one\ntwo"),
		"newlines":     []byte("\n\n\n"),
		"NUL":          []byte("a\x00b\n\x00\n\x00"),
		"CRLF":         []byte("one\r\ntwo\r\n\rthree\r"),
		"ANSI":         []byte("\x1b[31mred\x1b[0m\n\x1b]0;title\x07\n"),
		"not UTF-8":    []byte("\xff\xfe\n\xc3\n\xe2\x82\n\xed\xa0\x80\n"),
		"JSON":         []byte(`{"log":"x\n","stream":"stderr"}` + "\n\"\\\u2028<>&\n"),
		"8 MiB line":   append(bytes.Repeat([]byte("0123456789abcdef"), 8<<16), '\n'),
		"8 MiB no end": bytes.Repeat([]byte{'x'}, 8<<20),
		"16 KiB line":  append(bytes.Repeat([]byte{'y'}, 16<<10), '\n'),
		"binary":       binary,
	} {
		for _, driver := range []string{"jsonfile", "local"} {
			t.Run(driver+"/"+name, func(t *testing.T) { roundTrip(t, driver, input) })
		}
	}
}

func roundTrip(t *testing.T, driver string, input []byte) {
	s := newShell(t)
	in := s.file("in", input)
	marked := append([]byte("err "), input...)
	err := s.file("err", marked)
	s.run("run", "--driver", driver, "--id", "x", "--opt", "max-size=1g", "--",
		"sh", "-c", `cat "$1" & cat "$2" >&2; wait`, "-", in, err)
	gotOut, gotErr := s.run("logs", "x")
	same(t, "stdout", gotOut, input)
	same(t, "stderr", gotErr, marked)
}

// TestRoundTripOfABuild reads back what a real command has printed.
func TestRoundTripOfABuild(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it builds a part of the standard library")
	}
	s := newShell(t)
	// In a package of this project: the shell's own directory has none.
	s.dir = "."
	wantOut, wantErr := s.run("run", "--driver", "jsonfile", "--id", "build", "--tee", "--",
		"go", "build", "-a", "-x", "github.com/logplug/logplug/host/cmd/logplug/internal/when")
	if len(wantErr) < 10_000 {
		t.Errorf("the build has printed little:\n%s", wantErr)
	}
	gotOut, gotErr := s.run("logs", "build")
	same(t, "stdout", gotOut, wantOut)
	same(t, "stderr", gotErr, wantErr)
}

func same(t testing.TB, what string, got, want []byte) {
	t.Helper()
	if sha256.Sum256(got) == sha256.Sum256(want) {
		return
	}
	i := 0
	for i < len(got) && i < len(want) && got[i] == want[i] {
		i++
	}
	t.Errorf("%s: %d bytes, want %d; they differ from byte %d on: %.40q, want %.40q",
		what, len(got), len(want), i, got[i:], want[i:])
}
