//go:build unix

package launch

import (
	"bufio"
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/logplug/logplug/shared/logdriver"
	"github.com/logplug/logplug/shared/wire"
)

func TestStartAndStop(t *testing.T) {
	cfg, _ := program(t, "good")
	p := startProgram(t, cfg)
	if p.Protocol() != 1 || p.Pid() <= 0 || p.Err() != nil {
		t.Errorf("Protocol = %d, Pid = %d, Err = %v", p.Protocol(), p.Pid(), p.Err())
	}
	if err := checkHealth(t.Context(), p.Conn()); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := p.Stop(within(t, 20*time.Second)); err != nil {
			t.Error(err)
		}
	}
	awaitDone(t, p)
	var e *ExitError
	if !errors.As(p.Err(), &e) || !e.Stopped || e.Code != 0 || e.PID != p.Pid() {
		t.Errorf("Err = %#v", p.Err())
	}
}

// Two processes share a directory, and a program that prints first is a driver too.
func TestStartAfterNoise(t *testing.T) {
	cfg, log := program(t, "noise")
	p, q := startProgram(t, cfg), startProgram(t, cfg)
	if p.Pid() == q.Pid() {
		t.Error("two starts gave one process")
	}
	for _, want := range []string{"starting", "||", "almost 1|2"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, log)
		}
	}
}

// A certificate that nobody asked for takes go-plugin down.
func TestStartIgnoresCertificate(t *testing.T) {
	cfg, _ := program(t, "cert")
	startProgram(t, cfg)
}

func TestStartWithTLS(t *testing.T) {
	cfg, _ := program(t, "good")
	p, err := start(t.Context(), cfg, true)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Kill()
	if err := checkHealth(t.Context(), p.Conn()); err != nil {
		t.Error(err)
	}
	if err := p.Stop(within(t, 20*time.Second)); err != nil {
		t.Error(err)
	}
}

func TestStartWithTLSRefuses(t *testing.T) {
	for mode, want := range map[string]string{"rude": "offers no certificate", "cert": "error parsing server cert"} {
		cfg, _ := program(t, mode)
		_, err := start(t.Context(), cfg, true)
		var not *NotDriverError
		if !errors.As(err, &not) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: err = %v", mode, err)
		}
		noSockets(t, cfg)
	}
}

func TestStartRefuses(t *testing.T) {
	for _, tt := range []struct {
		mode    string
		timeout time.Duration // 0 where the program itself ends the start
		want    []string
	}{
		{"silent", 500 * time.Millisecond, []string{"no handshake line within 500ms"}},
		{"exit0", 0, []string{"exited with status 0 before"}},
		{"exit3", 0, []string{"exited with status 3", "no such device"}},
		{"panic", 0, []string{"exited with status 2", "lost my way"}},
		{"text", 10 * time.Second, []string{"no handshake line", "Hello, world"}},
		{"one-line-short", 0, []string{"before it printed a handshake line", "1|1|unix"}},
		{"bad-core", 0, []string{`version "7"`}},
		{"bad-version", 0, []string{`"one"`}},
		{"bad-network", 0, []string{`"tcp"`, "unix socket"}},
		{"netrpc", 0, []string{"netrpc", "needs grpc"}},
		{"long-address", 0, []string{"201 bytes"}},
		{"long-line", time.Second, []string{"no handshake line"}},
		{"nobody-listens", 10 * time.Second, []string{"not healthy", "no such file"}},
		{"endless", 0, []string{"more than 1048576 bytes"}},
		{"binary", 0, []string{"status 1", `\x00\xff\x1b[31m|||`}},
		{"unhealthy", 10 * time.Second, []string{"NOT_SERVING"}},
	} {
		t.Run(tt.mode, func(t *testing.T) {
			t.Parallel()
			cfg, _ := program(t, tt.mode)
			if tt.timeout > 0 {
				cfg.StartTimeout = tt.timeout
			}
			p, err := Start(t.Context(), cfg)
			if err == nil {
				p.Kill()
				t.Fatal("it started")
			}
			var not *NotDriverError
			if !errors.As(err, &not) {
				t.Fatalf("%T is not a *NotDriverError: %v", err, err)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error lacks %q: %v", want, err)
				}
			}
			if len(err.Error()) > 20<<10 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
			noSockets(t, cfg)
		})
	}
}

func TestStartVersionMismatch(t *testing.T) {
	cfg, _ := program(t, "wrong-version")
	_, err := Start(t.Context(), cfg)
	var v *VersionError
	if !errors.As(err, &v) {
		t.Fatalf("err = %v, want a *VersionError", err)
	}
	want := logdriver.VersionRange{Min: 7, Max: 9}
	if v.DriverRange != want || v.HostRange != hostRange() {
		t.Errorf("ranges are %v and %v", v.DriverRange, v.HostRange)
	}
	for _, want := range []string{"versions 7 to 9, this host speaks version 1", "last lines of stderr", "this driver is from the future"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("err lacks %q: %v", want, err)
		}
	}
	noSockets(t, cfg)
}

// TestStartVersionMismatchOfAMuteDriver that does not tell its range either: the error
// is there long before the start's time is up.
func TestStartVersionMismatchOfAMuteDriver(t *testing.T) {
	t.Parallel()
	cfg, _ := program(t, "mute-version")
	began := time.Now()
	_, err := Start(t.Context(), cfg)
	if v := (*VersionError)(nil); !errors.As(err, &v) || v.DriverRange != single(7) {
		t.Errorf("err = %v", err)
	}
	if d := time.Since(began); d > cfg.StartTimeout {
		t.Errorf("it took %v", d)
	}
}

func TestStartNotExecutable(t *testing.T) {
	cfg, _ := program(t, "good")
	cfg.Path = filepath.Join(t.TempDir(), "x")
	if _, err := Start(t.Context(), cfg); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: err = %v", err)
	}
	if err := os.WriteFile(cfg.Path, []byte("just text\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	var not *NotDriverError
	if _, err := Start(t.Context(), cfg); !errors.As(err, &not) || !strings.Contains(err.Error(), "cannot be executed") {
		t.Errorf("text: err = %v", err)
	}
	noSockets(t, cfg)
}

func TestStartCanceled(t *testing.T) {
	cfg, _ := program(t, "silent")
	ctx, cancel := context.WithCancel(t.Context())
	var began = time.Now()
	time.AfterFunc(200*time.Millisecond, cancel)
	_, err := Start(ctx, cfg)
	var not *NotDriverError
	if !errors.Is(err, context.Canceled) || errors.As(err, &not) {
		t.Errorf("err = %v", err)
	}
	if d := time.Since(began); d > 10*time.Second {
		t.Errorf("it took %v", d)
	}
	noSockets(t, cfg)
}

// A socket that another process listens on is not the driver's.
func TestStartRefusesImpostor(t *testing.T) {
	if !wire.PeerCredentialsSupported() {
		t.Skip("no peer credentials here")
	}
	cfg, _ := program(t, "impostor")
	addr := filepath.Join(cfg.SocketDir, "s")
	l, err := net.Listen("unix", addr)
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	go func() { _ = s.Serve(l) }()
	defer s.Stop()
	cfg.Env = append(cfg.Env, fileEnv+"="+addr)
	_, err = Start(t.Context(), cfg)
	if err == nil || !strings.Contains(err.Error(), "process "+strconv.Itoa(os.Getpid())) {
		t.Errorf("err = %v", err)
	}
}

func TestEnvironmentIsComplete(t *testing.T) {
	t.Setenv("LOGPLUG_TEST_SECRET", "do not tell")
	cfg, _ := program(t, "env")
	startProgram(t, cfg)
	text, err := os.ReadFile(file(cfg))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(string(text)) {
		name, _, _ := strings.Cut(line, "=")
		names = append(names, name)
	}
	slices.Sort(names)
	want := []string{
		"GOMAXPROCS", wire.MagicCookieKey, fileEnv, modeEnv,
		"PLUGIN_MAX_PORT", "PLUGIN_MIN_PORT", wire.EnvProtocolVersions, wire.EnvSocketDir, wire.EnvWriteSocket,
	}
	if runtime.GOOS == "linux" {
		want = append(want, wire.EnvWriteMemory)
	}
	slices.Sort(want)
	if !slices.Equal(names, want) {
		t.Errorf("the driver's environment has %q, want %q", names, want)
	}
}

func TestCrash(t *testing.T) {
	cfg, log := program(t, "crash")
	p := startProgram(t, cfg)
	if err := os.WriteFile(file(cfg), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	awaitDone(t, p)
	var e *ExitError
	if !errors.As(p.Err(), &e) || e.Stopped || e.Code != 2 || !strings.Contains(e.Error(), "what a pity") {
		t.Errorf("Err = %v", p.Err())
	}
	if !strings.Contains(log.String(), "[ERROR] test: goroutine 1 [running]:") {
		t.Errorf("the log lacks the stack:\n%s", log)
	}
	if err := p.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// A driver does not outlive a host that is killed.
func TestDriverDiesWithHost(t *testing.T) {
	for _, mode := range []string{"host", "boxing-host"} {
		t.Run(mode, func(t *testing.T) { driverDiesWith(t, mode) })
	}
}

func driverDiesWith(t *testing.T, mode string) {
	cfg, _ := program(t, mode)
	cmd := exec.Command(cfg.Path, cfg.SocketDir)
	cmd.Env = cfg.Env
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stdin.Close() }()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatalf("the host says %q", line)
	}
	kill(t, cmd.Process.Pid, syscall.SIGKILL)
	_ = cmd.Wait()
	eventually(t, "the driver ends", func() bool { return gone(pid) })
	if err := os.RemoveAll(filepath.Join(cfg.SocketDir, "0")); err != nil {
		t.Error(err)
	}
}
