package drivertest

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/logplug/logplug/shared/logdriver"
	pb "github.com/logplug/logplug/shared/proto/logplug/v1"
	"github.com/logplug/logplug/shared/wire"
)

func processRules() []Rule {
	return []Rule{
		{
			ID: "process/health", Needs: NeedSocket,
			Text:  "The health service reports " + wire.HealthService + " as SERVING.",
			check: checkHealth,
		},
		{
			ID: "process/version", Needs: NeedSocket,
			Text:  "Where host and driver have no version in common, the driver prints a version of its own in its handshake, or ends.",
			check: checkVersion,
		},
		{
			ID: "process/stdout", Needs: NeedSocket,
			Text:  "Nothing but the handshake line is printed on stdout, whatever is logged and read.",
			check: checkStdout,
		},
		{
			ID: "process/shutdown", Needs: NeedSocket,
			Text: "After Drain and Shutdown the process ends, also with loggers and readings open, and what was acknowledged is kept.",
			check: checkEnd(func(ctx context.Context, p *process) error {
				ctx, cancel := p.callCtx(ctx)
				defer cancel()
				if _, err := p.client.Drain(ctx, &pb.DrainRequest{}); err != nil {
					return fmt.Errorf("Drain: %w", wire.FromStatus(p.env.name, err))
				}
				// The answer may be cut off by the end of the process.
				_ = p.conn.Invoke(ctx, "/plugin.GRPCController/Shutdown", &emptypb.Empty{}, &emptypb.Empty{})
				return nil
			}),
		},
		{
			ID: "process/sigterm", Needs: NeedSocket,
			Text: "SIGTERM ends the process in time, also with loggers and readings open, and what was acknowledged is kept.",
			check: checkEnd(func(_ context.Context, p *process) error {
				return p.cmd.Process.Signal(syscall.SIGTERM)
			}),
		},
		{
			ID: "process/stdin", Needs: NeedSocket,
			Text: "The process ends in time when its stdin reaches end of file, because its host is gone; what was acknowledged is kept.",
			check: checkEnd(func(_ context.Context, p *process) error {
				return p.stdin.Close()
			}),
		},
		{
			ID:    "process/by-hand",
			Text:  "Run by hand, without the handshake's variables, the binary says on stderr what it is, prints no handshake, and exits with a code other than 0.",
			check: checkByHand,
		},
	}
}

func checkHealth(ctx context.Context, e *env) error {
	p, err := e.start(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := p.callCtx(ctx)
	defer cancel()
	resp, err := grpc_health_v1.NewHealthClient(p.conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: wire.HealthService})
	if err != nil {
		return err
	}
	if s := resp.GetStatus(); s != grpc_health_v1.HealthCheckResponse_SERVING {
		return fmt.Errorf("it is %v", s)
	}
	return nil
}

func checkVersion(ctx context.Context, e *env) error {
	const future = 1_000_000
	p, err := e.spawn(future)
	if err != nil {
		return err
	}
	hs, err := p.handshake(ctx)
	if isExited(p) {
		return nil
	}
	if err != nil {
		return err
	}
	if hs.version < e.desc.Protocol.Min || hs.version > e.desc.Protocol.Max {
		return fmt.Errorf("to a host of version %d it answered with version %d, it speaks %d to %d",
			future, hs.version, e.desc.Protocol.Min, e.desc.Protocol.Max)
	}
	return nil
}

func isExited(p *process) bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

func checkStdout(ctx context.Context, e *env) error {
	s, err := e.session(ctx)
	if err != nil {
		return err
	}
	o, err := s.openNew(ctx)
	if err != nil {
		return err
	}
	if err := s.store(ctx, o.id, 1, numbered(100)); err != nil {
		return err
	}
	if err := s.holds(ctx, o, numbered(100)); err != nil {
		return err
	}
	if err := s.stdin.Close(); err != nil {
		return err
	}
	if err := s.ends(ctx); err != nil {
		return err
	}
	s.kill() // what it printed has been read then
	if extra := s.out.rest.String(); extra != "" {
		return fmt.Errorf("it printed %s", shown(extra))
	}
	return nil
}

// checkEnd ends a process that has a lot going on, and looks for what it had
// acknowledged.
func checkEnd(end func(context.Context, *process) error) func(context.Context, *env) error {
	return func(ctx context.Context, e *env) error {
		s, err := e.session(ctx)
		if err != nil {
			return err
		}
		want := numbered(100)
		open := make([]opened, 3)
		for i := range open {
			if open[i], err = s.openNew(ctx); err != nil {
				return err
			}
			if e.desc.Capability.ReadLogs {
				if _, err := s.client.ReadLogs(ctx, readLogger(open[i].id, logdriver.ReadConfig{Tail: -1, Follow: true})); err != nil {
					return err
				}
			}
		}
		for _, o := range open[:2] { // one stays empty
			if err := s.store(ctx, o.id, 1, want); err != nil {
				return err
			}
		}
		if err := end(ctx, s.process); err != nil {
			return err
		}
		if err := s.ends(ctx); err != nil {
			return err
		}
		return e.kept(ctx, open[:2], want)
	}
}

// kept looks for what an ended process has acknowledged.
func (e *env) kept(ctx context.Context, logs []opened, want []record) error {
	if !e.desc.Capability.ReadLogs {
		return nil
	}
	for _, o := range logs {
		if err := e.expect(ctx, e.reopened(o.info), logdriver.ReadConfig{Tail: -1}, want); err != nil {
			return fmt.Errorf("in the next process: %w", err)
		}
	}
	return nil
}

func checkByHand(ctx context.Context, e *env) error {
	ctx, cancel := context.WithTimeout(ctx, e.opts.Wait)
	defer cancel()
	cmd := exec.CommandContext(ctx, e.binary)
	cmd.Env = e.plainEnv()
	cmd.WaitDelay = time.Second
	var out, text capture
	cmd.Stdout, cmd.Stderr = &out, &text
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("it still runs after %v", e.opts.Wait)
	case err == nil:
		return errors.New("it exited with code 0")
	case !errors.As(err, &exit) || exit.ExitCode() <= 0:
		return fmt.Errorf("it did not exit by itself: %w", err)
	case strings.Contains(out.String(), "|grpc"):
		return fmt.Errorf("it printed a handshake: %s", shown(out.String()))
	case strings.TrimSpace(text.String()) == "":
		return errors.New("it said nothing on stderr")
	}
	return nil
}
