package wire

import (
	"google.golang.org/grpc"
	"google.golang.org/grpc/experimental"
)

const (
	// Windows of gRPC's own flow control. The Write stream's is large, because
	// the windows of loggers are what limits it; what a host takes from a driver,
	// which it may not trust, is less. Fixed sizes keep gRPC from probing for them.
	writeWindow      = 16 << 20
	readWindow       = 1 << 20
	connectionWindow = 16 << 20
	// socketBufferBytes is the size of the buffers for the connection.
	socketBufferBytes = 128 << 10
)

// DialOptions returns the host's options for the transport.
func DialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		experimental.WithBufferPool(Buffers()),
		grpc.WithInitialWindowSize(readWindow),
		grpc.WithInitialConnWindowSize(connectionWindow),
		grpc.WithReadBufferSize(socketBufferBytes),
		grpc.WithWriteBufferSize(socketBufferBytes),
	}
}

// ServerOptions returns the driver's options for the transport.
func ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		experimental.BufferPool(Buffers()),
		grpc.InitialWindowSize(writeWindow),
		grpc.InitialConnWindowSize(connectionWindow),
		grpc.ReadBufferSize(socketBufferBytes),
		grpc.WriteBufferSize(socketBufferBytes),
	}
}
