package drivertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/emptypb"

	pb "github.com/logplug/logplug/shared/proto/logplug/v1"
	"github.com/logplug/logplug/shared/wire"
)

// process is a driver's process that the kit started itself, to speak to it
// without a host.
type process struct {
	env    *env
	cmd    *exec.Cmd
	stdin  io.Closer
	dir    string // of its socket
	out    *lineSplit
	conn   *grpc.ClientConn
	client pb.DriverClient

	quit    chan struct{} // closed when the process is not wanted any more
	exited  chan struct{} // closed when the process has ended
	waitErr error         // how, once exited is closed
	readers sync.WaitGroup
	endOnce sync.Once
}

// lineSplit takes what a process prints: the first line, and the rest.
type lineSplit struct {
	first chan string // gets the first line, capacity 1
	rest  capture

	buf  []byte
	done bool
}

// maxHandshakeBytes bounds the first line.
const maxHandshakeBytes = 4 << 10

// Write implements io.Writer. It never fails.
func (s *lineSplit) Write(p []byte) (int, error) {
	n := len(p)
	if !s.done {
		s.buf = append(s.buf, p[:min(len(p), maxHandshakeBytes)]...)
		i := bytes.IndexByte(s.buf, '\n')
		if i < 0 && len(s.buf) < maxHandshakeBytes {
			return n, nil
		}
		if i < 0 {
			i = len(s.buf) - 1
		}
		s.done = true
		s.first <- string(s.buf[:i])
		p = s.buf[i+1:]
	}
	_, _ = s.rest.Write(p)
	return n, nil
}

// canSpeak tells whether processes can be spoken to without a host.
func (c *checker) canSpeak() bool { return wire.PeerCredentialsSupported() }

// driverEnv is Options.Env. A driver that was built with Go's race detector would
// pause for a second at its end, unless it is told otherwise.
func (c *checker) driverEnv() []string {
	return append([]string{"GORACE=atexit_sleep_ms=0"}, c.opts.Env...)
}

// plainEnv is the environment of a driver without the handshake's variables.
func (c *checker) plainEnv() []string {
	env := []string{}
	given := c.driverEnv()
	names := append([]string{"PATH", "HOME", "USER", "LANG", "TZ", "TMPDIR", "GOCOVERDIR"}, given...)
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		if slices.ContainsFunc(names, func(n string) bool {
			prefix, any := strings.CutSuffix(n, "*")
			return n == name || (any && strings.HasPrefix(name, prefix))
		}) {
			env = append(env, v)
		}
	}
	for _, v := range given {
		if strings.Contains(v, "=") {
			env = append(env, v)
		}
	}
	return env
}

// start starts a process and connects to it. It ends with the env.
func (e *env) start(ctx context.Context) (*process, error) {
	p, err := e.spawn(wire.MaxProtocol)
	if err != nil {
		return nil, err
	}
	hs, err := p.handshake(ctx)
	if err != nil {
		return nil, err
	}
	return p, p.connect(hs)
}

// spawn starts a process whose host claims to speak the given version.
func (e *env) spawn(version int) (*process, error) {
	// The path of a socket must be short.
	dir, err := os.MkdirTemp("", "kit-")
	if err != nil {
		return nil, fmt.Errorf("make a directory for the socket: %w", err)
	}
	p := &process{env: e, dir: dir, out: &lineSplit{first: make(chan string, 1)}, quit: make(chan struct{}), exited: make(chan struct{})}
	p.cmd = exec.Command(e.binary)
	p.cmd.Env = append(e.plainEnv(),
		wire.MagicCookieKey+"="+wire.MagicCookieValue,
		wire.EnvProtocolVersions+"="+strconv.Itoa(version),
		wire.EnvSocketDir+"="+dir)
	p.cmd.Stdout, p.cmd.Stderr = p.out, e.log
	p.cmd.WaitDelay = time.Second
	if p.stdin, err = p.cmd.StdinPipe(); err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start the driver: %w", err), os.RemoveAll(dir))
	}
	e.processes = append(e.processes, p)
	go func() {
		p.waitErr = p.cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

func (p *process) connect(hs handshake) (err error) {
	p.conn, err = grpc.NewClient("unix:"+hs.address,
		grpc.WithTransportCredentials(wire.PeerCredentials(wire.CheckPID(p.cmd.Process.Pid))),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(wire.MaxMessageBytes), grpc.MaxCallSendMsgSize(wire.MaxMessageBytes)))
	if err != nil {
		return fmt.Errorf("connect to the driver: %w", err)
	}
	p.client = pb.NewDriverClient(p.conn)
	p.readers.Go(p.readStdio)
	return nil
}

// handshake is what the kit takes from a driver's first line.
type handshake struct {
	version int
	address string
}

// handshake waits for the first line on stdout.
func (p *process) handshake(ctx context.Context) (handshake, error) {
	late := time.NewTimer(p.env.opts.Wait)
	defer late.Stop()
	select {
	case line := <-p.out.first:
		f := strings.Split(strings.TrimRight(line, "\r"), "|")
		if len(f) < 5 || f[0] != strconv.Itoa(wire.CoreProtocol) || f[2] != "unix" || f[4] != "grpc" {
			return handshake{}, fmt.Errorf("the first line on stdout is no handshake: %s", shown(line))
		}
		version, err := strconv.Atoi(f[1])
		return handshake{version, f[3]}, err
	case <-p.exited:
		return handshake{}, fmt.Errorf("the process ended before its handshake: %w", orNoError(p.waitErr))
	case <-late.C:
		return handshake{}, fmt.Errorf("no handshake line on stdout within %v", p.env.opts.Wait)
	case <-ctx.Done():
		return handshake{}, context.Cause(ctx)
	}
}

// stdioMethod carries what a driver that is built with go-plugin prints after
// its handshake; such a driver blocks if nobody reads it.
const stdioMethod = "/plugin.GRPCStdio/StreamStdio"

// readStdio reads that stream until the connection is closed.
func (p *process) readStdio() {
	stream, err := p.conn.NewStream(context.Background(), &grpc.StreamDesc{ServerStreams: true}, stdioMethod)
	if err != nil || stream.SendMsg(&emptypb.Empty{}) != nil || stream.CloseSend() != nil {
		return // a driver need not have it
	}
	for {
		var m emptypb.Empty // its unknown fields are the message
		if stream.RecvMsg(&m) != nil {
			return
		}
		var to io.Writer = p.env.log
		channel, data := parseStdio(m.ProtoReflect().GetUnknown())
		if channel == stdioStdout {
			to = &p.out.rest
		}
		_, _ = to.Write(data) // a capture never fails
	}
}

// stdioStdout is the value of plugin.StdioData.channel for stdout.
const stdioStdout = 1

// parseStdio reads plugin.StdioData: channel=1, data=2.
func parseStdio(b []byte) (channel uint64, data []byte) {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return 0, nil
		}
		b = b[n:]
		switch {
		case num == 1 && typ == protowire.VarintType:
			channel, n = protowire.ConsumeVarint(b)
		case num == 2 && typ == protowire.BytesType:
			data, n = protowire.ConsumeBytes(b)
		default:
			n = protowire.ConsumeFieldValue(num, typ, b)
		}
		if n < 0 {
			return 0, nil
		}
		b = b[n:]
	}
	return channel, data
}

// ends waits for the process to end.
func (p *process) ends(ctx context.Context) error {
	late := time.NewTimer(p.env.opts.Wait)
	defer late.Stop()
	select {
	case <-p.exited:
		return nil
	case <-late.C:
		return fmt.Errorf("the process still runs after %v", p.env.opts.Wait)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// kill ends the process, and returns when it is gone. It may be called again.
func (p *process) kill() {
	p.endOnce.Do(func() {
		close(p.quit)
		_ = p.cmd.Process.Kill() // it may have ended
		<-p.exited
		_ = p.stdin.Close()
		if p.conn != nil {
			_ = p.conn.Close()
		}
		p.readers.Wait()
		_ = os.RemoveAll(p.dir)
	})
}
