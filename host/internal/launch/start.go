package launch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/logplug/logplug/shared/wire"
)

var errStartTimeout = errors.New("the start took too long")

// Start executes a driver and returns when it is connected, authenticated and
// healthy. ctx bounds the start and not the process, which the caller ends with
// Stop or Kill.
//
// It fails with a *NotDriverError for a program that is no driver, and with a
// *VersionError for a driver of another time. Nothing is left behind then.
func Start(ctx context.Context, cfg Config) (*Process, error) {
	return start(ctx, cfg, !wire.PeerCredentialsSupported())
}

func start(ctx context.Context, cfg Config, mtls bool) (*Process, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	startCtx, cancel := context.WithTimeoutCause(ctx, cfg.StartTimeout, errStartTimeout)
	defer cancel()

	dir, err := makeProcessDir(cfg.SocketDir)
	if err != nil {
		return nil, fmt.Errorf("start driver %s: %w", cfg.Name, err)
	}
	sockets, err := makeSocketPlace(cfg.SocketDir, dir, &cfg.Sandbox)
	if err != nil {
		_ = os.RemoveAll(dir)
		return nil, fmt.Errorf("start driver %s: %w", cfg.Name, err)
	}
	r := &processRunner{ctx: startCtx, cfg: cfg, dir: dir, sockets: sockets, mtls: mtls, out: newOutput(cfg.Logger)}
	p, err := r.connect()
	if err != nil {
		r.abandon()
		return nil, explain(startCtx, err, cfg, r.out.stderr.last())
	}
	go p.watch()
	return p, nil
}

// connect starts the process and waits until it is healthy.
func (r *processRunner) connect() (*Process, error) {
	cc := r.clientConfig()
	switch _, err := plugin.NewClient(cc).Start(); {
	case err == nil:
	case r.hs == (handshake{}):
		return nil, err // Start's own
	default: // what go-plugin found, such as a certificate that cannot be read
		return nil, r.notDriver("the handshake failed: "+err.Error(), err)
	}
	var refused refusal
	creds := wire.PeerCredentials(refused.note(wire.CheckPID(r.child.cmd.Process.Pid)))
	if r.mtls {
		creds = credentials.NewTLS(cc.TLSConfig)
	}
	conn, err := dial(r.hs.network, r.hs.address, creds)
	if err != nil {
		return nil, fmt.Errorf("connect to driver %s: %w", r.cfg.Name, err)
	}
	if err := r.awaitHealthy(conn, &refused); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return newProcess(r, conn), nil
}

func (r *processRunner) awaitHealthy(conn *grpc.ClientConn, refused *refusal) error {
	err := healthy(r.ctx, conn, r.child.exited, refused)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errGone):
		await(r.child.done, killWait)
		return fmt.Errorf("start: %w", r.child.exitError(r.cfg.Name, &r.out.stderr))
	case r.ctx.Err() != nil && !errors.Is(context.Cause(r.ctx), errStartTimeout):
		return fmt.Errorf("start driver %s: %w", r.cfg.Name, context.Cause(r.ctx))
	default:
		return r.notDriver(fmt.Sprintf("it was not healthy within %v of its start: %v", r.cfg.StartTimeout, err), err)
	}
}

// clientConfig returns a fresh configuration: go-plugin keeps state in it.
func (r *processRunner) clientConfig() *plugin.ClientConfig {
	versions := map[int]plugin.PluginSet{}
	for v := wire.MinProtocol; v <= wire.MaxProtocol; v++ {
		versions[v] = plugin.PluginSet{}
	}
	return &plugin.ClientConfig{
		HandshakeConfig:  plugin.HandshakeConfig{MagicCookieKey: wire.MagicCookieKey, MagicCookieValue: wire.MagicCookieValue},
		VersionedPlugins: versions,
		RunnerFunc:       r.prepare,
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		AutoMTLS:         r.mtls,
		SkipHostEnv:      true,
		StartTimeout:     r.cfg.StartTimeout,
		UnixSocketConfig: &plugin.UnixSocketConfig{TempDir: r.dir},
		Logger:           hclog.New(&hclog.LoggerOptions{Level: hclog.Off}),
	}
}

// abandon ends a process whose start failed.
func (r *processRunner) abandon() {
	if r.child != nil {
		_ = r.Kill(r.ctx)
	}
	r.socket.close()
	r.out.close()
	_ = os.RemoveAll(r.dir)
}

// explainShare is the part of Config.StartTimeout that explain may take: the error
// tells the essential without the answer.
const explainShare = 2

// explain adds to a failed negotiation what the driver printed, and the range of
// versions that it tells when it is asked without a handshake.
func explain(ctx context.Context, err error, cfg Config, stderr []string) error {
	var v *VersionError
	if !errors.As(err, &v) {
		return err
	}
	v.Stderr = stderr
	cfg.StartTimeout /= explainShare
	if d, derr := Describe(ctx, cfg); derr == nil {
		v.DriverRange.Min, v.DriverRange.Max = d.Protocol.Min, d.Protocol.Max
	}
	return v
}

// isNotExecutable tells that the system does not know the file's format.
func isNotExecutable(err error) bool { return errors.Is(err, syscall.ENOEXEC) }
