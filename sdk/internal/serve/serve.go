// Package serve runs a driver process: the handshake, the gRPC server, the
// signals, and the end. It is the only package of the driver's side that knows
// go-plugin.
package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/logplug/logplug/sdk/internal/service"
	pb "github.com/logplug/logplug/shared/proto/logplug/v1"
	"github.com/logplug/logplug/shared/wire"
	"google.golang.org/grpc"
)

const (
	// drainTime bounds how long a driver that is told to end, by a signal or by
	// the end of its host, goes on storing what it has received.
	drainTime = 10 * time.Second
	// orphanTime is drainTime for a driver whose host is gone: nobody waits for
	// it, and a next host may want its files.
	orphanTime = 3 * time.Second
	// lingerTime is how long the last acknowledgements may take to leave.
	lingerTime = 250 * time.Millisecond
	// gcPercent trades memory, of which a driver uses little, for time.
	gcPercent = 400
)

// StartedByHost tells whether a host started this process as a driver.
func StartedByHost() bool { return os.Getenv(wire.MagicCookieKey) == wire.MagicCookieValue }

// Run serves svc to the host that started this process, until the host says so,
// is gone, or a SIGTERM comes. It returns the exit status.
func Run(svc *service.Service, log *slog.Logger) int {
	setGC()
	if err := shortTurns(); err != nil {
		log.Debug("threads of this process have turns of the usual length", "error", err)
	}
	p := newProcess(svc, log)
	if conn, view, err := writeSocket(log); err != nil {
		log.Warn("messages come by gRPC, as there is no write socket", "error", err)
	} else if conn != nil {
		svc.UseWriteSocket(conn, view)
	}
	// A host that is gone must not kill the driver at its next log line.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	watching, unwatch := context.WithCancel(ctx)
	defer unwatch()
	orphaned := make(chan struct{})
	if isLifeline(os.Stdin) {
		go watchLifeline(os.Stdin, orphaned) // ends with the process
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-watching.Done():
			if ctx.Err() != nil {
				p.end(drainTime, "terminated by a signal")
			}
		case <-orphaned:
			p.end(orphanTime, "the host is gone")
		case <-p.served:
		}
	}()
	go func() {
		defer close(p.served)
		plugin.Serve(p.config(nil))
	}()
	select {
	case <-p.served:
		unwatch()
		<-ended
	case <-ended: // the server may wait for the driver's code, which may never return
		p.await(p.served)
	}
	return p.finish()
}

// Debug serves svc without a host. It writes to out, once, what attaches a host
// to this process, and runs until ctx ends.
func Debug(ctx context.Context, name string, svc *service.Service, log *slog.Logger, out io.Writer) int {
	p := newProcess(svc, log)
	stopping, stop := context.WithCancel(context.Background())
	defer stop()
	attach, closed := make(chan *plugin.ReattachConfig, 1), make(chan struct{})
	go plugin.Serve(p.config(&plugin.ServeTestConfig{ // ends with stopping
		Context: stopping, ReattachConfigCh: attach, CloseCh: closed,
	}))
	select {
	case at := <-attach:
		text := wire.FormatAttach(name, wire.Attachment{
			PID: os.Getpid(), Network: at.Addr.Network(), Address: at.Addr.String(), Protocol: at.ProtocolVersion,
		})
		fmt.Fprintf(out, "The driver is running. Start the host with this variable to attach it:\n\n%s='%s'\n\nInterrupt to end.\n",
			wire.EnvAttach, text)
	case <-closed:
		log.Error("cannot serve; see the lines before")
		return 1
	}
	select {
	case <-ctx.Done():
		p.end(drainTime, "interrupted")
	case <-closed: // a host has shut it down
	}
	stop()
	p.await(closed)
	return p.finish()
}

// setGC applies unless the user has settings of their own.
func setGC() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}

// process is what is being served.
type process struct {
	svc    *service.Service
	log    *slog.Logger
	served chan struct{} // closed when go-plugin has stopped serving
	stdout *os.File      // of the process, before go-plugin replaces them
	stderr *os.File

	mu     sync.Mutex
	server *grpc.Server
	ended  bool
}

func newProcess(svc *service.Service, log *slog.Logger) *process {
	return &process{svc: svc, log: log, served: make(chan struct{}), stdout: os.Stdout, stderr: os.Stderr}
}

func (p *process) config(test *plugin.ServeTestConfig) *plugin.ServeConfig {
	versions := make(map[int]plugin.PluginSet)
	for v := wire.MinProtocol; v <= wire.MaxProtocol; v++ {
		versions[v] = plugin.PluginSet{wire.PluginName: &driverPlugin{svc: p.svc}}
	}
	return &plugin.ServeConfig{
		HandshakeConfig: plugin.HandshakeConfig{
			MagicCookieKey: wire.MagicCookieKey, MagicCookieValue: wire.MagicCookieValue,
		},
		VersionedPlugins: versions,
		GRPCServer:       p.newServer,
		// go-plugin's own lines go where the driver's go, without the chatter.
		Logger: hclog.New(&hclog.LoggerOptions{Level: hclog.Warn, Output: p.stderr, JSONFormat: true}),
		Test:   test,
	}
}

// newServer makes the gRPC server. go-plugin gives TLS credentials in opts if the
// host asked for TLS; on a unix socket the kernel names the peer.
func (p *process) newServer(opts []grpc.ServerOption) *grpc.Server {
	if len(opts) == 0 && wire.PeerCredentialsSupported() {
		opts = append(opts, grpc.Creds(wire.PeerCredentials(wire.CheckHost())))
	}
	var once sync.Once
	opts = append(opts, wire.ServerOptions()...)
	opts = append(opts,
		grpc.ForceServerCodecV2(wire.NewCodec()),
		grpc.MaxRecvMsgSize(wire.MaxMessageBytes),
		grpc.MaxSendMsgSize(wire.MaxMessageBytes),
		grpc.ChainUnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			once.Do(p.restoreStdio)
			return next(ctx, req)
		}),
	)
	server := grpc.NewServer(opts...)
	p.mu.Lock()
	p.server = server
	p.mu.Unlock()
	return server
}

// restoreStdio undoes go-plugin's redirection of stdout and stderr into pipes
// that block the driver when no host reads them. The first call comes when it is
// in place, and before any code of the driver runs for a host.
func (p *process) restoreStdio() { os.Stdout, os.Stderr = p.stdout, p.stderr }

// end stores what was received, within the given time, and stops the server.
func (p *process) end(within time.Duration, reason string) {
	p.log.Info("ending", "reason", reason)
	p.drain(within)
	p.mu.Lock()
	server := p.server
	p.mu.Unlock()
	if server == nil {
		return
	}
	// Graceful: what has been acknowledged leaves before the connection does. Both ways wait
	// for the driver's code, which may never return.
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		server.GracefulStop()
	}()
	if !p.await(stopped) {
		go server.Stop()
		p.await(stopped)
	}
}

// await gives the last steps of the process their time.
func (p *process) await(done <-chan struct{}) bool {
	timer := time.NewTimer(lingerTime)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}

func (p *process) drain(within time.Duration) {
	p.mu.Lock()
	done := p.ended
	p.ended = true
	p.mu.Unlock()
	if done {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	if err := p.svc.DrainAll(ctx); err != nil {
		p.log.Error("not everything could be stored before the end", "error", err)
	}
}

// finish closes what is still open when no server runs any more: a host that
// stops a driver without draining it keeps what was not acknowledged.
func (p *process) finish() (code int) {
	p.drain(orphanTime)
	ctx, cancel := context.WithTimeout(context.Background(), lingerTime)
	defer cancel()
	if err := p.svc.Wait(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		p.log.Warn("left something running", "error", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.server == nil {
		return 1 // it never came to serving; go-plugin has logged why
	}
	return 0
}

// driverPlugin registers the service with go-plugin's server.
type driverPlugin struct {
	plugin.NetRPCUnsupportedPlugin
	svc *service.Service
}

// GRPCServer implements plugin.GRPCPlugin.
func (d *driverPlugin) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error {
	pb.RegisterDriverServer(s, d.svc)
	return nil
}

// GRPCClient implements plugin.GRPCPlugin.
func (d *driverPlugin) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, errors.New("a driver is no client")
}
