package host_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/shared/logdriver"
)

// pinned is a plugin directory with a file of pins.
type pinned struct {
	dir, file string
}

func newPinned(t *testing.T) pinned {
	t.Helper()
	dir := t.TempDir()
	return pinned{dir: dir, file: filepath.Join(t.TempDir(), "pins")}
}

func (p pinned) binary(name string) string { return filepath.Join(p.dir, "logplug-driver-"+name) }

// write writes lines to the file of pins.
func (p pinned) write(t *testing.T, lines ...string) {
	t.Helper()
	if err := os.WriteFile(p.file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (p pinned) host(t *testing.T) *host.Host {
	t.Helper()
	return newHost(t, func(c *host.Config) { c.PluginDirs, c.Pins = []string{p.dir}, p.file })
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	src, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	dst, err := os.OpenFile(to+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(dst, src); err != nil {
		t.Fatal(err)
	}
	if err := dst.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(to+".new", to); err != nil {
		t.Fatal(err)
	}
}

// pin returns a line as sha256sum prints it.
func pin(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x  %s", sha256.Sum256(b), path)
}

// probeVersion builds the probe driver with a version of its own.
func probeVersion(t *testing.T, version string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "probe")
	cmd := exec.Command("go", "build", "-ldflags", "-X main.version="+version, "-o", path, "../sdk/testdrivers/probe")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

func TestPins(t *testing.T) {
	p := newPinned(t)
	for _, name := range []string{"probe", "sink", "discard"} {
		copyFile(t, filepath.Join(plugins, "logplug-driver-"+name), p.binary(name))
	}
	other := strings.Repeat("0", 64)
	p.write(t, "# drivers", "", pin(t, p.binary("probe")), other+" *logplug-driver-probe", other+"  logplug-driver-sink", other+"  README")
	h := p.host(t)

	r := probe(t, h, logdriver.Info{})
	if r.Args[0] != p.binary("probe") || (runtime.GOOS == "linux" && !strings.Contains(r.Executable, "memfd:logplug-driver-probe")) {
		t.Errorf("arguments %q, executable %s", r.Args, r.Executable)
	}
	for name, want := range map[string]string{"sink": "which " + p.file + " does not list", "discard": "lists no SHA-256"} {
		_, err := h.Open(testContext(t), name, logdriver.Info{})
		var unknown *host.UnknownDriverError
		if !errors.As(err, &unknown) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
		for _, d := range h.Drivers(testContext(t)) {
			if d.Name == name && !strings.Contains(d.Skipped, want) {
				t.Errorf("Drivers: %s: %q", name, d.Skipped)
			}
			if d.Name == "probe" && d.Description == nil {
				t.Errorf("Drivers: probe: %q, %v", d.Skipped, d.Err)
			}
		}
	}
	// The file is read again.
	p.write(t, pin(t, p.binary("discard")))
	l := open(t, h, "discard", logdriver.Info{ContainerName: "d"})
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// TestPinsHoldWhileBinariesAreSwapped: what runs is what was pinned, whenever the
// file is replaced.
func TestPinsHoldWhileBinariesAreSwapped(t *testing.T) {
	good, evil := probeVersion(t, "good"), probeVersion(t, "evil")
	p := newPinned(t)
	copyFile(t, good, p.binary("probe"))
	p.write(t, pin(t, p.binary("probe")))
	stop := make(chan struct{})
	var swapper sync.WaitGroup
	swapper.Go(func() { swap(t, stop, p.binary("probe"), good, evil) })
	defer swapper.Wait()
	defer close(stop)
	started, refused := 0, 0
	for try := 0; try < 300 && (started < 5 || refused < 5); try++ {
		h, err := host.New(host.Config{PluginDirs: []string{p.dir}, Pins: p.file, NoWatch: true})
		if err != nil {
			t.Fatal(err)
		}
		l, err := h.Open(testContext(t), "probe", logdriver.Info{ContainerName: "p"})
		switch {
		case err == nil:
			started++
			if r := readReport(t, l); r.Version != "good" {
				t.Fatalf("version %q runs", r.Version)
			}
			_ = l.Close()
		case strings.Contains(err.Error(), "its SHA-256 is"):
			refused++
		default:
			t.Fatal(err)
		}
		if err := h.Close(testContext(t)); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("started %d times, refused %d times", started, refused)
	if started == 0 || refused == 0 {
		t.Error("the race was not run")
	}
}

// swap replaces the file at path by links to the others in turn.
func swap(t *testing.T, stop <-chan struct{}, path string, files ...string) {
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		default:
		}
		next := path + ".next"
		if err := os.Link(files[i%len(files)], next); err != nil {
			t.Error(err)
			return
		}
		if err := os.Rename(next, path); err != nil {
			t.Error(err)
			return
		}
		_ = os.Remove(next) // renaming a file over itself does nothing
	}
}

func TestPinsMistakes(t *testing.T) {
	p := newPinned(t)
	for text, want := range map[string]string{
		"nonsense":                         "line 1",
		"# ok\nabc  logplug-driver-x":      "line 2",
		strings.Repeat("g", 64) + "  name": "not a SHA-256",
	} {
		p.write(t, text)
		if _, err := host.New(host.Config{Pins: p.file}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	p.write(t)
	if _, err := host.New(host.Config{Pins: p.file, Attach: "{}"}); err == nil || !strings.Contains(err.Error(), "exclude each other") {
		t.Errorf("with Attach: %v", err)
	}
	if _, err := host.New(host.Config{Pins: filepath.Join(p.dir, "none")}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if err := os.Chmod(p.file, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := host.New(host.Config{Pins: p.file}); err == nil || !strings.Contains(err.Error(), "everybody can write") {
		t.Errorf("a file that all can write: %v", err)
	}
}
