//go:build unix

package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/logplug/logplug/shared/logdriver"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/mem"
)

// unixPair returns the two ends of a socket.
func unixPair(t testing.TB) (a, b *net.UnixConn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]*net.UnixConn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "end")
		conn, err := net.FileConn(f)
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		ends[i] = conn.(*net.UnixConn)
	}
	return ends[0], ends[1]
}

func newWriteSocket(t testing.TB, conn *net.UnixConn) *WriteSocket {
	t.Helper()
	s, err := NewWriteSocket(conn)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// requestOf returns a request with one message.
func requestOf(seq uint64, line string) *WriteRequest {
	req := new(WriteRequest)
	req.AppendBatch(1, seq, AppendEntry(nil, &logdriver.Message{Line: []byte(line)}))
	return req
}

// receiveLines receives n messages, of consecutive sequences from 1 on.
func receiveLines(s *WriteSocket, n int) (lines []string, err error) {
	var (
		req WriteRequest
		dec Decoder
	)
	defer req.Free()
	for len(lines) < n {
		if err := s.RecvMsg(&req); err != nil {
			return lines, err
		}
		for b, err := range req.Batches() {
			if err != nil {
				return lines, err
			}
			var m logdriver.Message
			if _, err := b.Next(&dec, &m); err != nil {
				return lines, err
			}
			if m.Seq != uint64(len(lines)+1) {
				return lines, fmt.Errorf("message %d is number %d", len(lines)+1, m.Seq)
			}
			lines = append(lines, string(m.Line))
		}
	}
	return lines, nil
}

// TestWriteSocket sends messages of all sizes in both ways, in an order that mixes these,
// to a receiver that begins late: what does not fit into the socket is not lost, and
// overtakes nothing.
func TestWriteSocket(t *testing.T) {
	ours, theirs := unixPair(t)
	out, in := newWriteSocket(t, ours), newWriteSocket(t, theirs)
	var want []string
	for i := range 200 {
		size := []int{0, 1, 100, 5000, promptBytes - 40, promptBytes + 1, 300 << 10, logdriver.MaxLineBytes}[i%8]
		want = append(want, strings.Repeat(string(rune('a'+i%26)), size))
	}
	type outcome struct {
		lines []string
		err   error
	}
	received, full := make(chan outcome, 1), make(chan struct{})
	go func() {
		<-full
		lines, err := receiveLines(in, len(want))
		received <- outcome{lines, err}
	}()
	begun := false
	for i, line := range want {
		req := requestOf(uint64(i+1), line)
		var err error
		switch {
		case out.Unfinished() && !begun:
			begun = true
			close(full)
			err = out.SendMsg(req)
		case out.Unfinished() || begun && i%3 == 0:
			err = out.SendMsg(req)
		default:
			err = out.SendNow(req)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if !begun {
		t.Fatal("the socket takes everything")
	}
	if err := out.Finish(); err != nil {
		t.Fatal(err)
	}
	got := <-received
	if got.err != nil {
		t.Fatal(got.err)
	}
	for i := range want {
		if got.lines[i] != want[i] {
			t.Fatalf("message %d has %d bytes, sent were %d", i+1, len(got.lines[i]), len(want[i]))
		}
	}
}

// TestSendNowNeverWaits fills a socket that nobody reads.
func TestSendNowNeverWaits(t *testing.T) {
	ours, theirs := unixPair(t)
	out, in := newWriteSocket(t, ours), newWriteSocket(t, theirs)
	line := strings.Repeat("x", 3000)
	n := 0
	for ; !out.Unfinished(); n++ {
		if err := out.SendNow(requestOf(uint64(n+1), line)); err != nil {
			t.Fatal(err)
		}
	}
	if err := out.SendNow(requestOf(uint64(n+1), line)); err == nil {
		t.Error("a message was sent in the middle of another one")
	}
	finished := make(chan error, 1)
	go func() { finished <- out.Finish() }()
	if lines, err := receiveLines(in, n); err != nil {
		t.Errorf("%d of %d messages came: %v", len(lines), n, err)
	}
	if err := <-finished; err != nil {
		t.Error(err)
	}
}

func TestWriteSocketEnds(t *testing.T) {
	whole := func(b []byte) []byte { return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...) }
	for name, c := range map[string]struct {
		sent []byte
		want error
	}{
		"nothing":         {nil, io.EOF},
		"after a message": {whole(nil), io.EOF},
		"in a length":     {[]byte{0, 0}, io.ErrUnexpectedEOF},
		"before the body": {[]byte{0, 0, 0, 9}, io.ErrUnexpectedEOF},
		"in the body":     {[]byte{0, 0, 0, 9, 1}, io.ErrUnexpectedEOF},
		"in a large one":  {append([]byte{0, 0x7f, 0xff, 0xff}, make([]byte, 3<<20)...), io.ErrUnexpectedEOF},
		"too long":        {[]byte{0, 0x80, 0, 1, 1, 2, 3}, ErrMalformed},
		"garbage":         {whole([]byte("\x0a\x7f")), ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			ours, theirs := unixPair(t)
			in := newWriteSocket(t, ours)
			go func() {
				_, _ = theirs.Write(c.sent)
				_ = theirs.Close()
			}()
			var (
				resp WriteResponse
				err  error
			)
			for err == nil {
				err = in.RecvMsg(&resp)
			}
			if !errors.Is(err, c.want) {
				t.Errorf("%v, expected %v", err, c.want)
			}
		})
	}
}

// TestWriteSocketOfTheDead: sending to nobody fails, in both ways.
func TestWriteSocketOfTheDead(t *testing.T) {
	ours, theirs := unixPair(t)
	out := newWriteSocket(t, ours)
	if err := theirs.Close(); err != nil {
		t.Fatal(err)
	}
	if err := out.SendNow(requestOf(1, "x")); !errors.Is(err, unix.EPIPE) {
		t.Errorf("SendNow: %v", err)
	}
	if err := out.SendMsg(requestOf(1, "x")); !errors.Is(err, unix.EPIPE) {
		t.Errorf("SendMsg: %v", err)
	}
}

// socketOf returns a socket through which raw comes.
func socketOf(raw []byte) *WriteSocket {
	return &WriteSocket{codec: NewCodec(), in: &socketReader{buf: raw, w: len(raw), err: io.EOF}}
}

// FuzzWriteSocket: what a driver that may be hostile sends. What is received is what gRPC
// would have made of the same messages.
func FuzzWriteSocket(f *testing.F) {
	ack := (&WriteResponse{Acks: []Ack{{Logger: 1, Seq: 2, Failures: []Failure{{Seq: 2, Reason: "no"}}}}}).marshal().Materialize()
	f.Add(append(append([]byte{0, 0, 0, byte(len(ack))}, ack...), 0, 0, 0, 0))
	f.Add([]byte{0, 0, 0, 2, 0x0a, 0x00, 0xff, 0xff, 0xff, 0xff})
	f.Add([]byte{0x80, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, raw []byte) {
		s := socketOf(raw)
		for rest := raw; ; {
			var got, want WriteResponse
			err := s.RecvMsg(&got)
			if len(rest) < lengthBytes {
				if err == nil {
					t.Fatal("a message without a length")
				}
				return
			}
			size := binary.BigEndian.Uint32(rest)
			rest = rest[lengthBytes:]
			if size > MaxMessageBytes || int(size) > len(rest) {
				if err == nil {
					t.Fatalf("a message of %d bytes, %d were sent", size, len(rest))
				}
				return
			}
			werr := NewCodec().Unmarshal(mem.BufferSlice{mem.SliceBuffer(rest[:size])}, &want)
			if (err == nil) != (werr == nil) {
				t.Fatalf("%v, by gRPC %v", err, werr)
			}
			if err != nil {
				return
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("%v, by gRPC %v", got, want)
			}
			rest = rest[size:]
		}
	})
}
