package launch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/logplug/logplug/shared/wire"
)

const (
	reconnectMin   = 20 * time.Millisecond
	reconnectMax   = time.Second
	connectTimeout = 10 * time.Second
	healthInterval = 20 * time.Millisecond
	// writeBufferBytes is what may lie in the socket: enough for the host to go on
	// while the driver is busy.
	writeBufferBytes = 1 << 20
	// maxHeaderBytes bounds a response's metadata, with the texts of errors.
	maxHeaderBytes = 64 << 10
)

// errGone tells that the process ended while it was waited for.
var errGone = errors.New("the process ended")

// dial prepares a connection; the first call makes it.
func dial(network, address string, creds credentials.TransportCredentials) (*grpc.ClientConn, error) {
	var d net.Dialer
	return grpc.NewClient("passthrough:///driver", append(wire.DialOptions(),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			conn, err := d.DialContext(ctx, network, address)
			if unix, ok := conn.(*net.UnixConn); ok {
				_ = unix.SetWriteBuffer(writeBufferBytes) // the system may allow less
			}
			return conn, err
		}),
		grpc.WithTransportCredentials(creds),
		grpc.WithNoProxy(),
		grpc.WithDisableServiceConfig(),
		grpc.WithDisableRetry(), // the host itself sends again; gRPC need not keep what it sent
		grpc.WithMaxHeaderListSize(maxHeaderBytes),
		grpc.WithIdleTimeout(0), // a quiet driver stays connected
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: reconnectMin, Multiplier: 1.6, Jitter: 0.2, MaxDelay: reconnectMax},
			MinConnectTimeout: connectTimeout,
		}),
		grpc.WithDefaultCallOptions(
			grpc.ForceCodecV2(wire.NewCodec()),
			grpc.MaxCallRecvMsgSize(wire.MaxMessageBytes),
			grpc.MaxCallSendMsgSize(wire.MaxMessageBytes),
		),
	)...)
}

// refusal remembers why the peer of a socket was refused: gRPC would try again
// and tell only that it is not connected.
type refusal struct {
	mu  sync.Mutex
	err error
}

func (r *refusal) note(check func(wire.Peer) error) func(wire.Peer) error {
	return func(p wire.Peer) error {
		err := check(p)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.err = err
		return err
	}
}

func (r *refusal) get() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// healthy waits until the driver reports itself healthy. It returns early when
// gone is closed, or when no waiting would help.
func healthy(ctx context.Context, conn *grpc.ClientConn, gone <-chan struct{}, refused *refusal) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan struct{})
	defer func() { cancel(); <-ended }()
	go func() {
		defer close(ended)
		select {
		case <-gone:
			cancel()
		case <-ctx.Done():
		}
	}()
	var last error // before the time was up
	for {
		err := checkHealth(ctx, conn)
		if err == nil {
			return nil
		}
		// gRPC may see the deadline a moment before the context does.
		if (ctx.Err() != nil || status.Code(err) == codes.DeadlineExceeded) && last != nil {
			err = last
		}
		last = err
		if r := refused.get(); r != nil {
			return r
		}
		if isClosed(gone) {
			return errGone
		}
		if ctx.Err() != nil || status.Code(err) == codes.Unimplemented {
			return err
		}
		pause(ctx, healthInterval)
	}
}

func checkHealth(ctx context.Context, conn *grpc.ClientConn) error {
	r, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: wire.HealthService})
	if err != nil {
		return err
	}
	if s := r.GetStatus(); s != grpc_health_v1.HealthCheckResponse_SERVING {
		return fmt.Errorf("its health service says %v", s)
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
