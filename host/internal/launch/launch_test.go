//go:build unix

package launch

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if program, ok := programs[os.Getenv(modeEnv)]; ok {
		os.Exit(program())
	}
	goleak.VerifyTestMain(m)
}

// logBuffer collects the host's log.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// program returns the configuration that runs one of programs, and its log.
func program(t *testing.T, mode string) (Config, *logBuffer) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir, release, err := NewSocketDir("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := release(); err != nil {
			t.Error(err)
		}
	})
	log := &logBuffer{}
	return Config{
		Name: "test", Path: exe, SocketDir: dir, StartTimeout: 20 * time.Second,
		Env:    []string{modeEnv + "=" + mode, fileEnv + "=" + filepath.Join(t.TempDir(), "file"), "GOMAXPROCS=1"},
		Logger: hclog.New(&hclog.LoggerOptions{Name: "test", Level: hclog.Trace, Output: log}),
	}, log
}

// file is the file through which the program of cfg and the test talk.
func file(cfg Config) string {
	for _, v := range cfg.Env {
		if path, ok := strings.CutPrefix(v, fileEnv+"="); ok {
			return path
		}
	}
	return ""
}

// startProgram starts one of programs and ends it with the test.
func startProgram(t *testing.T, cfg Config) *Process {
	t.Helper()
	p, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Kill()
		awaitDone(t, p)
		if exists(p.dir) {
			t.Errorf("%s is left in the socket directory", p.dir)
		}
	})
	return p
}

func awaitDone(t *testing.T, p *Process) {
	t.Helper()
	select {
	case <-p.Done():
	case <-time.After(60 * time.Second):
		t.Fatal("Done is not closed")
	}
}

// noSockets checks that nothing of a process is left in the socket directory.
func noSockets(t *testing.T, cfg Config) {
	t.Helper()
	entries, err := os.ReadDir(cfg.SocketDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() {
			t.Errorf("%s is left in the socket directory", e.Name())
		}
	}
}

func gone(pid int) bool {
	_, err := processIdentity(pid)
	return isDead(err)
}

// eventually polls until ok, for a bounded time.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(60 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("did not happen: %s", what)
		}
	}
}

func readPid(t *testing.T, path string) int {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func kill(t *testing.T, pid int, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, s); err != nil {
		t.Fatal(err)
	}
}

// freeze stops a process. The signal alone does not: a thread must take it first.
func freeze(t *testing.T, pid int) {
	t.Helper()
	kill(t, pid, syscall.SIGSTOP)
	if runtime.GOOS != "linux" {
		return
	}
	eventually(t, "the process stops", func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err == nil && bytes.Contains(stat, []byte(") T "))
	})
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
