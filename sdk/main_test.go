package sdk_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/logplug/logplug/sdk"
	"github.com/logplug/logplug/shared/logdriver"
	pb "github.com/logplug/logplug/shared/proto/logplug/v1"
	"github.com/logplug/logplug/shared/wire"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
)

// asDriver makes the test binary a driver process.
const asDriver = "SDK_TEST_DRIVER"

const patience = 60 * time.Second

func TestMain(m *testing.M) {
	switch os.Getenv(asDriver) {
	case "text":
		os.Exit(sdk.Main(textDriver))
	case "stuck":
		os.Exit(sdk.Main(stuckDriver))
	case "broken":
		os.Exit(sdk.Main(sdk.Driver[struct{}]{Name: "NOT a name"}))
	}
	goleak.VerifyTestMain(m)
}

// stuckDriver never comes back from opening a logger, and heeds no context.
var stuckDriver = sdk.Driver[textOptions]{
	Name: "stuck", Version: "1.0.0",
	Open: func(_ context.Context, _ logdriver.Info, o *textOptions) (logdriver.Logger, error) {
		if err := os.WriteFile(filepath.Join(o.Dir, "reached"), nil, 0o600); err != nil {
			return nil, err
		}
		select {}
	},
}

// command is the driver as a command that was not started by a host.
func command(t *testing.T, driver string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), asDriver+"="+driver)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func TestDescribeCommand(t *testing.T) {
	stdout, stderr, code := command(t, "text", "describe")
	var desc logdriver.Description
	if err := json.Unmarshal([]byte(stdout), &desc); err != nil || code != 0 || stderr != "" {
		t.Fatalf("%v, status %d, %s", err, code, stderr)
	}
	if desc.Name != "text" || len(desc.Options) != 4 || !desc.Capability.ReadLogs || !strings.Contains(stdout, "\n  \"version\"") {
		t.Error(stdout)
	}
}

func TestByHand(t *testing.T) {
	stdout, stderr, code := command(t, "text")
	if code != 2 || stdout != "" || !strings.Contains(stderr, "logplug-driver-text") || !strings.Contains(stderr, "--plugin-dir") {
		t.Errorf("status %d: %s%s", code, stdout, stderr)
	}
	stdout, _, code = command(t, "text", "--help")
	if code != 0 || !strings.Contains(stdout, "line-size=size") || !strings.Contains(stdout, "(default 16k)") {
		t.Errorf("status %d: %s", code, stdout)
	}
	stdout, _, code = command(t, "text", "--version")
	if code != 0 || stdout != "logplug-driver-text 1.0.0\n" {
		t.Errorf("status %d: %s", code, stdout)
	}
	_, stderr, code = command(t, "text", "--frobnicate")
	if code != 2 || !strings.Contains(stderr, "--frobnicate") {
		t.Errorf("status %d: %s", code, stderr)
	}
	_, stderr, code = command(t, "broken", "describe")
	if code != 1 || !strings.Contains(stderr, "driver name") {
		t.Errorf("status %d: %s", code, stderr)
	}
}

// process is a driver process with a host's hands on it.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdin  io.Closer
	stdout *bufio.Reader
	stderr *bytes.Buffer // read it after wait
	client pb.DriverClient
}

func start(t *testing.T, args []string, env ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(os.Args[0], args...), stderr: new(bytes.Buffer)}
	dir, err := os.MkdirTemp("", "sdk") // short enough for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	p.cmd.Env = append(append(os.Environ(), asDriver+"=text", wire.EnvSocketDir+"="+dir), env...)
	p.cmd.Stderr = p.stderr
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stdin, p.stdout = stdin, bufio.NewReader(stdout)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	watchdog := time.AfterFunc(2*patience, func() { _ = p.cmd.Process.Kill() })
	t.Cleanup(func() {
		watchdog.Stop()
		_ = p.cmd.Process.Kill()
		_, _ = p.cmd.Process.Wait()
	})
	return p
}

func startByHost(t *testing.T, env ...string) *process {
	t.Helper()
	p := start(t, nil, append(env, wire.MagicCookieKey+"="+wire.MagicCookieValue, wire.EnvProtocolVersions+"=1,99")...)
	line, err := p.stdout.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Split(strings.TrimSpace(line), "|")
	if len(fields) < 5 || fields[0] != "1" || fields[1] != "1" || fields[2] != "unix" || fields[4] != "grpc" {
		t.Fatalf("handshake %q", line)
	}
	p.connect(fields[3])
	return p
}

func (p *process) connect(address string) {
	p.t.Helper()
	conn, err := grpc.NewClient("unix:"+address,
		grpc.WithTransportCredentials(wire.PeerCredentials(wire.CheckPID(p.cmd.Process.Pid))),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(wire.NewCodec())))
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = conn.Close() })
	p.client = pb.NewDriverClient(conn)
}

func (p *process) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	p.t.Cleanup(cancel)
	return ctx
}

// wait returns the exit status and the decoded lines of the driver's log.
func (p *process) wait() (code int, log []map[string]any) {
	p.t.Helper()
	_, _ = io.Copy(io.Discard, p.stdout)
	_ = p.cmd.Wait()
	for line := range strings.Lines(p.stderr.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil || m["@module"] == nil || m["@level"] == nil {
			p.t.Errorf("log line %q: %v", line, err)
		}
		log = append(log, m)
	}
	return p.cmd.ProcessState.ExitCode(), log
}

// write opens a logger on dir and sends lines, without waiting for them.
func (p *process) write(dir string, lines ...string) (logger uint64, st grpc.BidiStreamingClient[pb.WriteRequest, pb.WriteResponse]) {
	p.t.Helper()
	info := logdriver.Info{ContainerID: "job", Config: map[string]string{"dir": dir}}
	resp, err := p.client.Open(p.ctx(), &pb.OpenRequest{Info: wire.InfoToProto(&info)})
	if err != nil {
		p.t.Fatal(err)
	}
	if st, err = p.client.Write(p.ctx()); err != nil {
		p.t.Fatal(err)
	}
	var body []byte
	for _, l := range lines {
		body = wire.AppendEntry(body, &logdriver.Message{Line: []byte(l)})
	}
	var req wire.WriteRequest
	req.AppendBatch(resp.GetLogger(), 1, body)
	if err := st.SendMsg(&req); err != nil {
		p.t.Fatal(err)
	}
	return resp.GetLogger(), st
}

func (p *process) awaitAck(st grpc.ClientStream, seq uint64) {
	p.t.Helper()
	for {
		var resp wire.WriteResponse
		if err := st.RecvMsg(&resp); err != nil {
			p.t.Fatal(err)
		}
		for _, a := range resp.Acks {
			if a.Seq >= seq {
				return
			}
		}
	}
}

func TestServedToAHost(t *testing.T) {
	p := startByHost(t)
	dir := t.TempDir()
	logger, st := p.write(dir, "one", "two")
	p.awaitAck(st, 2)
	rd, err := p.client.ReadLogs(p.ctx(), &pb.ReadLogsRequest{Log: &pb.ReadLogsRequest_Logger{Logger: logger}})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := rd.Recv()
	if err != nil || len(resp.GetEntries()) == 0 || string(resp.GetEntries()[0].GetLine()) != "one\n" {
		t.Errorf("%v, %v", resp, err)
	}
	if _, err := p.client.Close(p.ctx(), &pb.CloseRequest{Logger: logger}); err != nil {
		t.Error(err)
	}
	_, err = p.client.Open(p.ctx(), &pb.OpenRequest{Info: wire.InfoToProto(&logdriver.Info{Config: map[string]string{"dri": "x"}})})
	var opt *logdriver.OptionError
	if err := wire.FromStatus("text", err); !errors.As(err, &opt) || opt.Nearest != "dir" {
		t.Errorf("err = %v", err)
	}

	// The host dies: its end of stdin is closed.
	p.stdin.Close()
	code, log := p.wait()
	if code != 0 || len(log) == 0 || log[len(log)-1]["reason"] != "the host is gone" || log[0]["@module"] != "text" {
		t.Errorf("status %d, log %v", code, log)
	}
}

func TestSigtermStoresWhatWasReceived(t *testing.T) {
	p := startByHost(t)
	dir := t.TempDir()
	_, st := p.write(dir, "one")
	p.awaitAck(st, 1)
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	code, log := p.wait()
	if code != 0 || !strings.Contains(fmt.Sprint(log), "signal") {
		t.Errorf("status %d, log %v", code, log)
	}
	if data, err := os.ReadFile(filepath.Join(dir, "job.log")); err != nil || string(data) != "one\n" {
		t.Errorf("%q, %v", data, err)
	}
}

// A driver whose code does not return ends all the same, by a signal and without host.
func TestStuckDriverEnds(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*process) error{
		"signal":  func(p *process) error { return p.cmd.Process.Signal(syscall.SIGTERM) },
		"no host": func(p *process) error { return p.stdin.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := startByHost(t, asDriver+"=stuck")
			dir := t.TempDir()
			info := logdriver.Info{Config: map[string]string{"dir": dir}}
			opened := make(chan error, 1)
			go func() {
				_, err := p.client.Open(p.ctx(), &pb.OpenRequest{Info: wire.InfoToProto(&info)})
				opened <- err
			}()
			for {
				if _, err := os.Stat(filepath.Join(dir, "reached")); err == nil {
					break
				}
				select {
				case err := <-opened:
					t.Fatal(err)
				case <-time.After(time.Millisecond):
				}
			}
			if err := end(p); err != nil {
				t.Fatal(err)
			}
			if code, log := p.wait(); code != 0 {
				t.Errorf("status %d, log %v", code, log)
			}
			if err := <-opened; err == nil {
				t.Error("opened")
			}
		})
	}
}

func TestDebugMode(t *testing.T) {
	p := start(t, []string{"--debug"})
	prefix := wire.EnvAttach + "='"
	var at wire.Attachment
	for at.PID == 0 {
		line, err := p.stdout.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		value, ok := strings.CutPrefix(strings.TrimSpace(line), prefix)
		if !ok {
			continue
		}
		all, err := wire.ParseAttach(strings.TrimSuffix(value, "'"))
		if err != nil {
			t.Fatal(err)
		}
		at = all["text"]
	}
	if at.PID != p.cmd.Process.Pid {
		t.Errorf("%+v", at)
	}
	p.connect(at.Address)
	_, st := p.write(t.TempDir(), "one")
	p.awaitAck(st, 1)
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if code, log := p.wait(); code != 0 {
		t.Errorf("status %d, log %v", code, log)
	}
}
