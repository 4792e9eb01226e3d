package main

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"sync/atomic"

	pb "github.com/logplug/logplug/shared/proto/logplug/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// connections misbehave below gRPC.
func connections() map[string]behaviour {
	return map[string]behaviour{
		"connection-garbage": func(d *driver) { d.accept = answer(bytes.Repeat([]byte{0xff}, 1<<16)) },
		"connection-http1":   func(d *driver) { d.accept = answer([]byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")) },
		"connection-closes":  func(d *driver) { d.accept = answer(nil) },
		"connection-mute": func(d *driver) {
			d.accept = func(l net.Listener) error {
				for {
					if _, err := l.Accept(); err != nil {
						return err
					}
				}
			}
		},
		// One stream that stays is all there may be.
		"connection-one-stream": func(d *driver) {
			d.options = append(d.options, grpc.MaxConcurrentStreams(1))
			d.methods[methodStdio] = never
		},
		"connection-no-streams": noStreams,
		"connection-length":     func(d *driver) { d.accept = serveFrames(frame(0, 1<<32-1, []byte("x"))) },
		"connection-compressed": func(d *driver) { d.accept = serveFrames(frame(1, 4, []byte("gzip"))) },
		"connection-flags":      func(d *driver) { d.accept = serveFrames(frame(0xfe, 4, []byte("what"))) },
		"connection-cut":        func(d *driver) { d.accept = serveFrames(frame(0, 100, []byte("short"))) },
	}
}

// noStreams allows no more streams once it was found healthy.
func noStreams(d *driver) {
	var forbid atomic.Bool
	health := d.methods[methodHealth]
	d.methods[methodHealth] = func(s grpc.ServerStream) error {
		forbid.Store(true)
		return health(s)
	}
	d.wrap = func(l net.Listener) net.Listener { return forbidding{l, &forbid} }
}

// forbidding sets the number of concurrent streams to 0 in front of what is
// written next after forbid was set. gRPC writes whole frames.
type forbidding struct {
	net.Listener
	forbid *atomic.Bool
}

func (l forbidding) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return forbiddingConn{c, l.forbid}, err
}

type forbiddingConn struct {
	net.Conn
	forbid *atomic.Bool
}

func (c forbiddingConn) Write(p []byte) (int, error) {
	if c.forbid.Swap(false) {
		// RFC 9113, section 6.5: SETTINGS_MAX_CONCURRENT_STREAMS is 3.
		settings := []byte{0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0}
		if _, err := c.Conn.Write(settings); err != nil {
			return 0, err
		}
	}
	return c.Conn.Write(p)
}

func answer(p []byte) func(net.Listener) error {
	return func(l net.Listener) error {
		for {
			c, err := l.Accept()
			if err != nil {
				return err
			}
			go func() {
				_, _ = c.Write(p)
				_ = c.Close()
			}()
		}
	}
}

// frame is a message as gRPC's protocol over HTTP/2 prefixes it.
func frame(flags byte, length uint32, body []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{flags}, length), body...)
}

// serveFrames answers Open with the frame, and everything else well.
func serveFrames(open []byte) func(net.Listener) error {
	ok, _ := proto.Marshal(healthy()) // a constant message
	mux := http.NewServeMux()
	mux.HandleFunc(methodHealth, func(w http.ResponseWriter, _ *http.Request) { respond(w, frame(0, uint32(len(ok)), ok)) })
	mux.HandleFunc(pb.Driver_Open_FullMethodName, func(w http.ResponseWriter, _ *http.Request) { respond(w, open) })
	mux.HandleFunc(pb.Driver_Write_FullMethodName, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		w.(http.Flusher).Flush()
		_, _ = io.Copy(io.Discard, r.Body)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { respond(w, nil) })
	var p http.Protocols
	p.SetUnencryptedHTTP2(true)
	return (&http.Server{Handler: mux, Protocols: &p}).Serve
}

func respond(w http.ResponseWriter, body []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/grpc")
	h.Set("Grpc-Encoding", "gzip")
	h.Set("Trailer", "Grpc-Status")
	_, _ = w.Write(body)
	h.Set("Grpc-Status", "0")
}
