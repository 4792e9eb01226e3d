package launch

import (
	"context"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/emptypb"
)

// stdioMethod streams what a driver prints after go-plugin's server has taken
// its stdout and stderr over. A driver whose stream is not read blocks in
// its next print.
const stdioMethod = "/plugin.GRPCStdio/StreamStdio"

// Numbers of plugin.StdioData.
const (
	stdioChannelField = 1
	stdioDataField    = 2
	stdioStdout       = 1
	stdioStderr       = 2
)

// readStdio logs that stream until the connection is closed. The channel is
// closed when it has ended. A driver need not have it.
func readStdio(conn *grpc.ClientConn, out *output) <-chan struct{} {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		stdout, stderr := out.stdoutLines(), out.stderrLines()
		defer func() { _, _ = stdout.Close(), stderr.Close() }()
		s, err := conn.NewStream(context.Background(), &grpc.StreamDesc{ServerStreams: true}, stdioMethod)
		if err != nil || s.SendMsg(&emptypb.Empty{}) != nil || s.CloseSend() != nil {
			return
		}
		for {
			var m emptypb.Empty // its unknown fields are the message
			if s.RecvMsg(&m) != nil {
				return
			}
			channel, data := parseStdio(m.ProtoReflect().GetUnknown())
			switch channel {
			case stdioStdout:
				write(stdout, data)
			case stdioStderr:
				write(stderr, data)
			}
		}
	}()
	return ended
}

func write(w io.Writer, p []byte) { _, _ = w.Write(p) } // a splitter never fails

func parseStdio(b []byte) (channel uint64, data []byte) {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return 0, nil
		}
		b = b[n:]
		switch {
		case num == stdioChannelField && typ == protowire.VarintType:
			channel, n = protowire.ConsumeVarint(b)
		case num == stdioDataField && typ == protowire.BytesType:
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
