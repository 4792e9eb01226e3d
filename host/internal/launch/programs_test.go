//go:build unix

package launch

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/logplug/logplug/shared/wire"
)

// modeEnv makes the test binary behave as one of programs.
const modeEnv = "LOGPLUG_TEST_PROGRAM"

// fileEnv names a file through which a program and its test talk.
const fileEnv = "LOGPLUG_TEST_FILE"

// programs are what a host may find under a driver's name. Each returns its exit
// status.
var programs = map[string]func() int{
	"good":           func() int { return serve() },
	"silent":         func() int { return hang() },
	"exit0":          func() int { return 0 },
	"exit3":          func() int { fmt.Fprintln(os.Stderr, "no such device"); return 3 },
	"panic":          func() int { panic("lost my way") },
	"text":           func() int { fmt.Println("Hello, world"); return hang() },
	"one-line-short": func() int { fmt.Print("1|1|unix"); return 0 },
	"bad-core":       func() int { fmt.Println("7|1|unix|/x|grpc"); return hang() },
	"bad-version":    func() int { fmt.Println("1|one|unix|/x|grpc"); return hang() },
	"bad-network":    func() int { fmt.Println("1|1|tcp|127.0.0.1:1|grpc"); return hang() },
	"netrpc":         func() int { fmt.Println("1|1|unix|/x|netrpc"); return hang() },
	"long-address":   func() int { fmt.Printf("1|1|unix|/%0200d|grpc\n", 0); return hang() },
	"long-line":      func() int { fmt.Printf("1|1|unix|/%0100000d|grpc\n", 0); return hang() },
	"nobody-listens": func() int { fmt.Println("1|1|unix|/nowhere/at/all|grpc|"); return hang() },
	"endless":        func() int { return endless() },
	"binary":         func() int { fmt.Print("\x00\xff\x1b[31m|||\n\n\n"); return 1 },
	"noise":          func() int { fmt.Println("starting\n||\nalmost 1|2"); return serve() },
	"wrong-version":  func() int { return wrongVersion() },
	"mute-version":   func() int { return muteVersion() },
	"cert":           func() int { return raw("1|1|unix|%s|grpc|" + strings.Repeat("A", 300) + "|true\n") },
	"rude":           func() int { return rude() },
	"unhealthy":      func() int { return unhealthy() },
	"impostor":       func() int { fmt.Printf("1|1|unix|%s|grpc|\n", os.Getenv(fileEnv)); return hang() },
	"forker":         func() int { return forker(false) },
	"escaper":        func() int { return forker(true) },
	"stderr-lines":   func() int { copyFile(os.Stderr); return serve() },
	"stderr-flood":   func() int { flooder(os.Stderr); return serve() },
	"chatty":         func() int { return chatty() },
	"describe":       func() int { copyFile(os.Stdout); return 0 },
	"crash":          func() int { return crash() },
	"host":           func() int { return host(Sandbox{}) },
	"boxing-host": func() int {
		return host(Sandbox{NoNewPrivs: true, ConfineWrites: true, ConfineTCP: true, Rlimits: []Rlimit{{OpenFiles, 500}}})
	},
	"env":      func() int { return showEnv() },
	"greeter":  func() int { return greeter(wire.WriteSocketGreeting) },
	"sharer":   func() int { return greeter(wire.WriteMemoryGreeting) },
	"stranger": func() int { return greeter("HELLO, HOST") },
	"greedy":   func() int { return greedy() },
	"sleeper":  func() int { <-time.After(10 * time.Minute); return 0 },
}

// serve is a driver as the sdk makes one, without any service.
func serve() int {
	if len(os.Args) > 1 && os.Args[1] == wire.DescribeCommand {
		fmt.Println(`{"name":"test","protocol":{"min":1,"max":1},"options":[]}`)
		return 0
	}
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig:  plugin.HandshakeConfig{MagicCookieKey: wire.MagicCookieKey, MagicCookieValue: wire.MagicCookieValue},
		VersionedPlugins: map[int]plugin.PluginSet{1: {wire.PluginName: service{}}},
		GRPCServer:       func(o []grpc.ServerOption) *grpc.Server { return grpc.NewServer(o...) },
		Logger:           hclog.NewNullLogger(),
	})
	return 0
}

type service struct{ plugin.NetRPCUnsupportedPlugin }

func (service) GRPCServer(*plugin.GRPCBroker, *grpc.Server) error { return nil }
func (service) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, nil
}

// hang stays until it is killed, or its host is gone.
func hang() int {
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

func endless() int {
	block := []byte(strings.Repeat("x", 1<<16))
	for {
		if _, err := os.Stdout.Write(block); err != nil {
			return 1
		}
	}
}

func wrongVersion() int {
	if len(os.Args) > 1 {
		fmt.Println(`{"name":"test","protocol":{"min":7,"max":9},"options":[]}`)
		return 0
	}
	fmt.Fprintln(os.Stderr, "this driver is from the future")
	fmt.Println("1|7|unix|/x|grpc|")
	return hang()
}

// muteVersion does not describe itself.
func muteVersion() int {
	if len(os.Args) > 1 {
		<-time.After(10 * time.Minute)
	}
	fmt.Println("1|7|unix|/x|grpc|")
	return hang()
}

// raw is a driver without go-plugin. line is its handshake line, with %s for the
// address.
func raw(line string) int {
	addr := filepath.Join(os.Getenv(wire.EnvSocketDir), "s")
	l, err := net.Listen("unix", addr)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	s := grpc.NewServer()
	h := health.NewServer()
	h.SetServingStatus(wire.HealthService, grpc_health_v1.HealthCheckResponse_SERVING)
	grpc_health_v1.RegisterHealthServer(s, h)
	fmt.Printf(line, addr)
	_ = s.Serve(l)
	return 0
}

// rude has no Shutdown and ignores the signal.
func rude() int {
	signal.Ignore(syscall.SIGTERM)
	return raw("1|1|unix|%s|grpc|\n")
}

func unhealthy() int {
	addr := filepath.Join(os.Getenv(wire.EnvSocketDir), "s")
	l, err := net.Listen("unix", addr)
	if err != nil {
		return 1
	}
	s := grpc.NewServer()
	h := health.NewServer()
	h.SetServingStatus(wire.HealthService, grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	grpc_health_v1.RegisterHealthServer(s, h)
	fmt.Printf("1|1|unix|%s|grpc|\n", addr)
	_ = s.Serve(l)
	return 0
}

// forker leaves a process behind that holds its stdout and stderr, in its group
// or, if it escapes, in another session.
func forker(escape bool) int {
	cmd := exec.Command(os.Args[0])
	cmd.Env = []string{modeEnv + "=sleeper"}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: escape}
	if err := cmd.Start(); err != nil {
		return 1
	}
	if err := os.WriteFile(os.Getenv(fileEnv), fmt.Appendf(nil, "%d", cmd.Process.Pid), 0o600); err != nil {
		return 1
	}
	return serve()
}

func copyFile(w io.Writer) {
	text, err := os.ReadFile(os.Getenv(fileEnv))
	if err == nil {
		_, _ = w.Write(text)
	}
}

const floodLines = 20000

func flooder(w io.Writer) {
	for i := range floodLines {
		fmt.Fprintf(w, "line %d of many\n", i)
	}
}

// awaitFile returns once the test has made its file.
func awaitFile() {
	for range time.Tick(time.Millisecond) {
		if _, err := os.Stat(os.Getenv(fileEnv)); err == nil {
			return
		}
	}
}

// chatty prints to the stdout and stderr that go-plugin's server took over.
func chatty() int {
	go func() {
		awaitFile()
		for i := range 3000 {
			fmt.Fprintf(os.Stdout, "chat %d\n", i)
		}
		fmt.Fprintln(os.Stderr, `{"@level":"error","@message":"the chat is over"}`)
	}()
	return serve()
}

// crash ends when its file is there, with something to say.
func crash() int {
	go func() {
		awaitFile()
		_, _ = os.NewFile(2, "stderr").WriteString("panic: what a pity\n\ngoroutine 1 [running]:\n")
		os.Exit(2)
	}()
	return serve()
}

// host starts a driver, says which, and is then killed by the test.
func host(s Sandbox) int {
	cfg := Config{
		Name: "test", Path: os.Args[0], Env: []string{modeEnv + "=good"}, SocketDir: os.Args[1],
		Logger: hclog.NewNullLogger(), Sandbox: s,
	}
	p, err := Start(context.Background(), cfg)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println(p.Pid())
	return hang()
}

func showEnv() int {
	if err := os.WriteFile(os.Getenv(fileEnv), []byte(strings.Join(os.Environ(), "\n")), 0o600); err != nil {
		return 1
	}
	return serve()
}

// greedy uses more and more memory, up to a bound that protects the tests.
func greedy() int {
	var hold [][]byte
	for range 1024 {
		b := make([]byte, 1<<20)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		hold = append(hold, b)
	}
	return len(hold) & 1
}

// greeter greets through the write socket, and sends back what comes through it.
func greeter(greeting string) int {
	fd, err := strconv.Atoi(os.Getenv(wire.EnvWriteSocket))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	socket := os.NewFile(uintptr(fd), "write socket")
	if _, err := io.WriteString(socket, greeting); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	go func() { _, _ = io.Copy(struct{ io.Writer }{socket}, struct{ io.Reader }{socket}) }()
	return serve()
}
