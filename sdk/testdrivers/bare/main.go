// Logplug-driver-bare is a driver as one would write it in a language that has no
// sdk: from PROTOCOL.md, with the generated code and gRPC alone. It keeps its logs in
// files, and shows that the protocol's description is all that it takes.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/types/known/emptypb"

	pb "github.com/logplug/logplug/shared/proto/logplug/v1"
)

const (
	cookie      = "5f1bb4f1e7a94d5f8f3c2c9b6d0e7a41"
	maxMessage  = 8 << 20
	endPatience = 5 * time.Second // for what was received to be stored
)

func main() { os.Exit(run()) }

func run() int {
	if slices.Equal(os.Args[1:], []string{"describe"}) {
		return describe(os.Stdout)
	}
	if os.Getenv("LOGPLUG_DRIVER_COOKIE") != cookie {
		fmt.Fprintln(os.Stderr, "This is a logplug driver. A host starts it.")
		return 1
	}
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// serve serves until the host says so, or is gone.
func serve() error {
	dir := os.Getenv("PLUGIN_UNIX_SOCKET_DIR")
	lis, err := net.Listen("unix", filepath.Join(dir, "bare.sock"))
	if err != nil {
		return fmt.Errorf("listen in %s: %w", dir, err)
	}
	d := newDriver()
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM)
	gone := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(gone)
	}()
	shutdown := make(chan struct{}, 1)
	srv := grpc.NewServer(grpc.MaxRecvMsgSize(maxMessage), grpc.MaxSendMsgSize(maxMessage))
	pb.RegisterDriverServer(srv, d)
	healthy := health.NewServer()
	healthy.SetServingStatus("plugin", grpc_health_v1.HealthCheckResponse_SERVING)
	grpc_health_v1.RegisterHealthServer(srv, healthy)
	registerController(srv, shutdown)
	go func() {
		select {
		case <-end:
		case <-gone:
		case <-shutdown:
		}
		ctx, cancel := context.WithTimeout(context.Background(), endPatience)
		defer cancel()
		_, _ = d.Drain(ctx, nil) // what it cannot store was never acknowledged
		srv.Stop()
	}()
	fmt.Printf("1|%d|unix|%s|grpc\n", version(os.Getenv("PLUGIN_PROTOCOL_VERSIONS")), lis.Addr())
	return srv.Serve(lis)
}

// version picks the highest version that both sides speak, and the driver's own if
// there is none. This driver speaks 1 alone.
func version(hosts string) int {
	if !slices.Contains(strings.Split(hosts, ","), "1") {
		fmt.Fprintln(os.Stderr, "this driver speaks version 1 of the protocol, its host", hosts)
	}
	return 1
}

// registerController adds the service plugin.GRPCController.
func registerController(srv *grpc.Server, shutdown chan<- struct{}) {
	srv.RegisterService(&grpc.ServiceDesc{
		ServiceName: "plugin.GRPCController",
		HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{
			MethodName: "Shutdown",
			Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
				select {
				case shutdown <- struct{}{}:
				default:
				}
				return new(emptypb.Empty), decode(new(emptypb.Empty))
			},
		}},
	}, nil)
}
