package importer_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/logplug/logplug/host/cmd/logplug/internal/docker/frame"
	"github.com/logplug/logplug/shared/logdriver"
)

// installed makes what the tests run, once and only if a test asks for it: fuzzing
// starts this binary again and again.
var installed = sync.OnceValues(func() (dir string, err error) {
	if dir, err = scratch(); err != nil {
		return "", err
	}
	const module = "github.com/logplug/logplug/"
	for name, pkg := range map[string]string{
		"logplug":                         "host/cmd/logplug",
		"drivers/logplug-driver-jsonfile": "drivers/jsonfile",
		"drivers/logplug-driver-local":    "drivers/local",
		"drivers/logplug-driver-sink":     "sdk/testdrivers/sink",
	} {
		out, err := exec.Command("go", "build", "-o", filepath.Join(dir, name), module+pkg).CombinedOutput()
		if err != nil {
			return dir, fmt.Errorf("build %s: %w\n%s", name, err, out)
		}
	}
	return dir, nil
})

// scratch is removed when the tests have run.
var scratch = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "logplug-import-test-") })

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := scratch(); err == nil {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

const (
	// waitLimit is long after each logplug has ended unless it hangs.
	waitLimit = 2 * time.Minute
	// outputLimit is how long its drivers may hold its output open after it was killed.
	outputLimit = time.Minute
)

// logplug returns a command that is killed, and fails the test, if it hangs.
func logplug(t testing.TB, state string, args ...string) *exec.Cmd {
	t.Helper()
	dir, err := installed()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), waitLimit)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, filepath.Join(dir, "logplug"), append([]string{"--state-dir", state}, args...)...)
	cmd.Cancel = func() error {
		if ctx.Err() == context.DeadlineExceeded { // else the test is over
			t.Errorf("%v does not end", cmd.Args)
		}
		return cmd.Process.Kill()
	}
	cmd.WaitDelay = outputLimit
	return cmd
}

func must(t *testing.T, cmd *exec.Cmd) (stdout string) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %v: %s", cmd.Args, err, errs.String())
	}
	return out.String()
}

const records = 60_000

// text returns the lines from to to, and CRI records of them.
func text(from, to int) (lines, file string) {
	var l, f strings.Builder
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for i := from; i < to; i++ {
		line := fmt.Sprintf("line %d %s", i, strings.Repeat("x", i%80))
		stamp := at.Add(time.Duration(i) * time.Microsecond).Format(time.RFC3339Nano)
		l.WriteString(line + "\n")
		if i%10 == 0 {
			fmt.Fprintf(&f, "%s stdout P %s\n%s stdout F %s\n", stamp, line[:5], stamp, line[5:])
		} else {
			fmt.Fprintf(&f, "%s stdout F %s\n", stamp, line)
		}
	}
	return l.String(), f.String()
}

func writeFile(t *testing.T, path, content string, zip bool) {
	t.Helper()
	var b bytes.Buffer
	if zip {
		w := gzip.NewWriter(&b)
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	} else {
		b.WriteString(content)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// source is the log of a container engine.
type source struct {
	log     string // name of its file
	rotated string // what is added to that of an older one
	text    func(from, to int) (lines, file string)
}

var sources = map[string]source{
	"cri":          {"0.log", ".20260101-000000", text},
	"docker-json":  {"c-json.log", ".1", dockerText(jsonRecord)},
	"docker-local": {"container.log", ".1", dockerText(localRecord)},
}

// dockerText is text with records of Docker's, which are made of the bytes of a line or of a part of it.
func dockerText(record func(line string, at time.Time, part logdriver.Partial) string) func(from, to int) (lines, file string) {
	return func(from, to int) (lines, file string) {
		var l, f strings.Builder
		at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		for i := from; i < to; i++ {
			line := fmt.Sprintf("line %d %s", i, strings.Repeat("x", i%80))
			stamp := at.Add(time.Duration(i) * time.Microsecond)
			l.WriteString(line + "\n")
			if i%10 == 0 {
				part := logdriver.Partial{ID: fmt.Sprint(i), Ordinal: 1}
				f.WriteString(record(line[:5], stamp, part))
				part.Ordinal, part.Last = 2, true
				f.WriteString(record(line[5:], stamp, part))
			} else {
				f.WriteString(record(line, stamp, logdriver.Partial{}))
			}
		}
		return l.String(), f.String()
	}
}

func jsonRecord(line string, at time.Time, part logdriver.Partial) string {
	if !part.IsPartial() || part.Last {
		line += `\n`
	}
	return fmt.Sprintf("{\"log\":\"%s\",\"stream\":\"stdout\",\"time\":\"%s\"}\n", line, at.Format(time.RFC3339Nano))
}

func localRecord(line string, at time.Time, part logdriver.Partial) string {
	b := frame.Append(nil, &logdriver.Message{Line: []byte(line), Source: "stdout", Timestamp: at, Partial: part})
	return string(binary.BigEndian.AppendUint32(b, uint32(len(b)-frame.HeaderBytes)))
}

// TestKilled kills an import at random moments until it comes to its end, with the log
// being rotated and compressed in between. Nothing is missing, and nothing twice.
func TestKilled(t *testing.T) {
	for format, s := range sources {
		for _, driver := range []string{"jsonfile", "local"} {
			t.Run(format+" to "+driver, func(t *testing.T) { testKilled(t, s, driver) })
		}
	}
}

const maxKills = 20

// killWhenGrown kills an import when what is in its directory has grown by so many bytes,
// unless it ends before.
func killWhenGrown(cmd *exec.Cmd, dir string, grow int64, ended chan error) {
	limit := total(dir) + grow
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for total(dir) < limit {
		select {
		case err := <-ended:
			ended <- err
			return
		case <-tick.C:
		}
	}
	_ = cmd.Process.Kill()
}

// total returns the size of the files in a directory.
func total(dir string) (n int64) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			n += info.Size()
		}
	}
	return n
}

func testKilled(t *testing.T, src source, driver string) {
	dir, state := t.TempDir(), t.TempDir()
	log := filepath.Join(dir, src.log)
	older := log + src.rotated
	_, first := src.text(0, records/3)
	_, second := src.text(records/3, records)
	want, _ := src.text(0, records)
	writeFile(t, older, first, false)
	writeFile(t, log, second, false)
	rnd := rand.New(rand.NewPCG(3, 7))
	kills, busy := 0, 0
	for {
		cmd := logplug(t, state, "import", "-d", driver, "--id", "killed", log)
		var errs bytes.Buffer
		cmd.Stderr = &errs
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		if kills < maxKills {
			killWhenGrown(cmd, filepath.Join(state, "logs", "killed"), int64(rnd.IntN(700_000)), ended)
		}
		if err := <-ended; err == nil {
			break
		}
		if t.Failed() { // it hung
			t.Fatal(errs.String())
		}
		if cmd.ProcessState.Exited() {
			// A driver that was killed while it waits for the disk ends after that.
			if busy++; busy < 10 && strings.Contains(errs.String(), logdriver.ErrLogBusy.Error()) {
				continue
			}
			t.Fatal(errs.String())
		}
		busy = 0
		if kills++; kills == 2 {
			writeFile(t, older+".gz", first, true)
			if err := os.Remove(older); err != nil {
				t.Fatal(err)
			}
		}
	}
	if kills < maxKills/4 {
		t.Errorf("killed %d times only", kills)
	}
	t.Logf("killed %d times", kills)
	if got := must(t, logplug(t, state, "logs", "killed")); got != want {
		t.Errorf("got %d bytes, want %d", len(got), len(want))
	}
	// What was written since is added.
	more, file := src.text(records, records+100)
	f, err := os.OpenFile(log, os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString(file)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	must(t, logplug(t, state, "import", "-d", driver, "--id", "killed", log))
	if got := must(t, logplug(t, state, "logs", "killed")); got != want+more {
		t.Errorf("after another import: got %d bytes, want %d", len(got), len(want+more))
	}
}

// TestDamaged: what is damaged is skipped and told, and the exit code says so.
func TestDamaged(t *testing.T) {
	dir, state := t.TempDir(), t.TempDir()
	log := filepath.Join(dir, "web-json.log")
	record := `{"log":"%s\n","stream":"stderr","attrs":{"env":"prod"},"time":"2026-01-02T03:04:05.000000006Z"}` + "\n"
	rotated := fmt.Sprintf(record, "zero")
	for i := range 5000 {
		rotated += fmt.Sprintf(record, fmt.Sprint("lost ", i*i*7919))
	}
	writeFile(t, log+".1.gz", rotated, true)
	zipped, err := os.ReadFile(log + ".1.gz")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(log+".1.gz", zipped[:len(zipped)-20], 0o600); err != nil {
		t.Fatal(err)
	}
	writeFile(t, log, fmt.Sprintf(record, "one")+"{\"log\":\n"+fmt.Sprintf(record, "two"), false)
	cmd := logplug(t, state, "import", "-d", "jsonfile", "--opt", "env=x", log)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), "skipped") || !strings.Contains(string(out), "8 bytes") {
		t.Errorf("%v: %s", err, out)
	}
	read := logplug(t, state, "logs", "--details", "--timestamps", "web")
	both, err := read.CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(string(both), "2026-01-02T03:04:05.000000006Z env=prod one\n2026-01-02T03:04:05.000000006Z env=prod two\n") ||
		!strings.HasPrefix(string(both), "2026-01-02T03:04:05.000000006Z env=prod zero\n") {
		t.Errorf("%.300s", both)
	}
}

// TestUnknown: files that are something else are refused.
func TestUnknown(t *testing.T) {
	dir, state := t.TempDir(), t.TempDir()
	log := filepath.Join(dir, "x.log")
	writeFile(t, log, "just text\n", false)
	out, err := logplug(t, state, "import", log).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "--format") {
		t.Errorf("%v: %s", err, out)
	}
	if out := must(t, logplug(t, state, "ls", "--output", "json")); strings.TrimSpace(out) != "[]" {
		t.Errorf("an import that did not begin left a job: %s", out)
	}
}

// TestOtherDriver: a driver that does not remember gets everything, and what it
// acknowledged last again at most.
func TestOtherDriver(t *testing.T) {
	dir, state := t.TempDir(), t.TempDir()
	log, sink := filepath.Join(dir, "0.log"), filepath.Join(dir, "out")
	want, file := text(0, 2000)
	writeFile(t, log, file, false)
	for range 2 {
		must(t, logplug(t, state, "import", "-d", "sink", "--opt", "file="+sink, "--opt", "cache-disabled=true", "--id", "a", log))
	}
	got, err := os.ReadFile(sink)
	if err != nil {
		t.Fatal(err)
	}
	var texts strings.Builder // a long line is in parts
	for line := range strings.Lines(string(got)) {
		_, text, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		texts.WriteString(text)
	}
	if want := strings.ReplaceAll(want, "\n", ""); texts.String() != want {
		t.Errorf("got %d bytes, want the %d of all lines, once", texts.Len(), len(want))
	}
}

// TestRemoved: once a log is removed, an import with its id begins anew, with another
// driver too.
func TestRemoved(t *testing.T) {
	dir, state := t.TempDir(), t.TempDir()
	log := filepath.Join(dir, "0.log")
	want, file := text(0, 20)
	writeFile(t, log, file, false)
	for _, driver := range []string{"local", "local", "jsonfile"} {
		must(t, logplug(t, state, "import", "-d", driver, "--id", "a", log))
		if got := must(t, logplug(t, state, "logs", "a")); got != want {
			t.Errorf("%s: got %d bytes, want %d", driver, len(got), len(want))
		}
		must(t, logplug(t, state, "rm", "a"))
	}
}
