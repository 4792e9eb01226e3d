package remote

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/logplug/logplug/sdk/drivertest/receiver"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 60 * time.Second

// peer is a server whose connections the test has in its hands.
type peer struct {
	t    *testing.T
	addr Address
	ln   net.Listener
	tls  *tls.Config
}

func newPeer(t *testing.T) *peer {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	port := ln.Addr().(*net.TCPAddr).Port
	return &peer{t: t, ln: ln, addr: Address{Scheme: Scheme{Name: "tcp", Network: "tcp", Port: port}, Host: "127.0.0.1"}}
}

// encrypt makes it a server of TLS, and returns the client's configuration.
func (p *peer) encrypt() *tls.Config {
	p.t.Helper()
	certs, err := receiver.NewCertificates(p.t.TempDir())
	if err != nil {
		p.t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(certs.ServerCert, certs.ServerKey)
	if err != nil {
		p.t.Fatal(err)
	}
	p.tls = &tls.Config{Certificates: []tls.Certificate{pair}}
	p.addr.TLS, p.addr.Name = true, "tcp+tls"
	cfg, err := (&TLSOptions{CACert: certs.CA}).Config("", "localhost")
	if err != nil {
		p.t.Fatal(err)
	}
	return cfg
}

// accept waits for a connection.
func (p *peer) accept() net.Conn {
	p.t.Helper()
	_ = p.ln.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
	conn, err := p.ln.Accept()
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { conn.Close() })
	if p.tls != nil {
		return tls.Server(conn, p.tls)
	}
	return conn
}

// expect reads exactly want.
func expect(t *testing.T, conn net.Conn, want string) {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	got := make([]byte, len(want))
	if n, err := io.ReadFull(conn, got); err != nil || string(got) != want {
		t.Fatalf("got %q, %v, not %q", got[:n], err, want)
	}
}

// sender returns one that is closed in the end.
func (p *peer) sender(cfg Config) *Sender {
	cfg.Addresses = []Address{p.addr}
	if cfg.FinishTimeout == 0 {
		cfg.FinishTimeout = time.Millisecond // the test's end is not what is tested
	}
	s := NewSender(cfg)
	p.t.Cleanup(func() { _ = s.Close() })
	return s
}

// send sends frames and expects all of them to be confirmed.
func send(t *testing.T, s *Sender, frames ...string) {
	t.Helper()
	p, ends := join(frames...)
	if n, err := s.Send(t.Context(), p, ends); err != nil || n != len(frames) {
		t.Fatalf("%d of %d frames, %v", n, len(frames), err)
	}
}

// sendUntil sends a frame, again and again where the connection has ended.
func sendUntil(t *testing.T, s *Sender, frame string) {
	t.Helper()
	n, err := s.Send(t.Context(), []byte(frame), []int{len(frame)})
	for deadline := time.Now().Add(patience); n == 0 && time.Now().Before(deadline); {
		n, err = s.Send(t.Context(), nil, nil)
	}
	if n != 1 || err != nil {
		t.Fatalf("%d frames, %v", n, err)
	}
}

func join(frames ...string) (p []byte, ends []int) {
	for _, f := range frames {
		p = append(p, f...)
		ends = append(ends, len(p))
	}
	return p, ends
}

// A peer that takes nothing is told of, with what it has confirmed; when it goes
// on, it gets each byte once.
func TestStalledPeer(t *testing.T) {
	for _, name := range []string{"tcp", "tls"} {
		t.Run(name, func(t *testing.T) {
			p := newPeer(t)
			cfg := Config{StallTimeout: 50 * time.Millisecond, ResendBytes: 1 << 10}
			if name == "tls" {
				cfg.TLS = p.encrypt()
			}
			s := p.sender(cfg)
			accepted := make(chan net.Conn, 1)
			go func() {
				conn := p.accept()
				if c, ok := conn.(*tls.Conn); ok {
					_ = c.Handshake()
				}
				accepted <- conn
			}()
			const n = 16 << 10
			frame := strings.Repeat("x", 1023) + "\n"
			frames := make([]string, n)
			for i := range frames {
				frames[i] = frame
			}
			b, ends := join(frames...)
			got, err := s.Send(t.Context(), b, ends)
			if err == nil || got == n || !strings.Contains(err.Error(), "takes nothing") {
				t.Fatalf("%d of %d, %v", got, n, err)
			}
			read := make(chan int64, 1)
			conn := <-accepted
			go func() {
				k, _ := io.Copy(io.Discard, conn)
				conn.Close()
				read <- k
			}()
			for deadline := time.Now().Add(patience); got < n && time.Now().Before(deadline); {
				k, _ := s.Send(t.Context(), nil, nil)
				got += k
			}
			if err := s.Close(); err != nil || got != n {
				t.Errorf("%d of %d, %v", got, n, err)
			}
			if k := <-read; k != int64(len(b)) {
				t.Errorf("the peer has read %d bytes of %d", k, len(b))
			}
		})
	}
}

// Close waits until the peer has read everything.
func TestCloseWaitsForThePeer(t *testing.T) {
	for _, name := range []string{"tcp", "tls"} {
		t.Run(name, func(t *testing.T) {
			p := newPeer(t)
			cfg := Config{ResendBytes: 1 << 10, FinishTimeout: patience}
			if name == "tls" {
				cfg.TLS = p.encrypt()
			}
			s := p.sender(cfg)
			read := make(chan []byte, 1)
			go func() {
				conn := p.accept()
				b, _ := io.ReadAll(conn)
				read <- b
				conn.Close()
			}()
			send(t, s, "a;", "b;")
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			select {
			case b := <-read:
				if string(b) != "a;b;" {
					t.Errorf("it has read %q", b)
				}
			default:
				t.Error("Close has returned before the peer had read everything")
			}
		})
	}
}

// If that cannot be done, Close says so.
func TestCloseTellsOfLoss(t *testing.T) {
	p := newPeer(t)
	s := p.sender(Config{ResendBytes: 1 << 10, FinishTimeout: 100 * time.Millisecond})
	send(t, s, "a;")
	conn := p.accept()
	p.ln.Close()
	conn.Close()
	if err := s.Close(); err == nil || !strings.Contains(err.Error(), "may be lost") {
		t.Errorf("Close: %v", err)
	}
}

// It says so too if the next connection takes neither that nor what came after.
func TestCloseTellsOfLossBeforePending(t *testing.T) {
	a := Address{Scheme: Scheme{Name: "unix", Network: "unix"}, Path: filepath.Join(t.TempDir(), "s")}
	ln, err := net.Listen("unix", a.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	s := NewSender(Config{
		Addresses: []Address{a}, ResendBytes: 1 << 10, StallTimeout: 50 * time.Millisecond, FinishTimeout: 100 * time.Millisecond,
	})
	defer s.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		defer close(accepted)
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		_, _ = io.ReadFull(conn, make([]byte, 2))
		accepted <- conn
	}()
	sendUntil(t, s, "a;")
	conn, ok := <-accepted
	if !ok {
		t.Fatal("nobody has connected")
	}
	conn.Close()
	within(t, s, "next connection", func() bool { return s.link != nil && s.box.owed() }) // nobody reads from it
	if n, err := s.Send(t.Context(), []byte("b;"), []int{2}); n != 0 || err == nil {
		t.Fatalf("%d, %v of a peer that does not read", n, err)
	}
	if err := s.Close(); err == nil || !strings.Contains(err.Error(), "1 messages were acknowledged") {
		t.Errorf("Close: %v", err)
	}
}

// What TLS answers by itself does not grow without bound while nobody takes it.
func TestSendBufferIsBounded(t *testing.T) {
	var b sendBuffer
	var err error
	for n := 0; err == nil && n < 2*maxUnflushed; n += chunkBytes {
		_, err = b.Write(make([]byte, chunkBytes))
	}
	if !errors.Is(err, errUnflushed) {
		t.Errorf("it holds %d bytes, %v", len(b.data), err)
	}
}

// Frames that were added while there was no connection are sent once there is
// one, and need not be added again.
func TestPeerIsDown(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	s := NewSender(Config{Addresses: []Address{{Scheme: Scheme{Name: "unix", Network: "unix"}, Path: path}}})
	defer s.Close()
	b, ends := join("a;", "b;")
	if n, err := s.Send(t.Context(), b, ends); n != 0 || err == nil || !strings.Contains(err.Error(), "connect to unix://"+path) {
		t.Fatalf("%d, %v", n, err)
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	read := receiver.ReadStream(ln)
	if n, err := s.Send(t.Context(), []byte("c;"), []int{2}); n != 3 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if got := <-read; got != "a;b;c;" {
		t.Errorf("got %q", got)
	}
}

// On a unix socket a frame is confirmed when the peer has read it.
func TestUnixConfirmsReading(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	for _, network := range []string{"unix", "unixgram"} {
		_ = os.Remove(path)
		s := NewSender(Config{
			Addresses:    []Address{{Scheme: Scheme{Name: network, Network: network}, Path: path}},
			StallTimeout: 50 * time.Millisecond,
		})
		sock := acceptUnix(t, network, path)
		if n, err := s.Send(t.Context(), []byte("a;"), []int{2}); n != 0 || err == nil {
			t.Errorf("%s: %d, %v before it was read", network, n, err)
		}
		conn := sock()
		expect(t, conn, "a;")
		if n, err := s.Send(t.Context(), nil, nil); n != 1 || err != nil {
			t.Errorf("%s: %d, %v after it was read", network, n, err)
		}
		conn.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// acceptUnix listens, and returns what returns the socket to read from.
func acceptUnix(t *testing.T, network, path string) func() net.Conn {
	t.Helper()
	a := &net.UnixAddr{Name: path, Net: network}
	if network == "unixgram" {
		sock, err := net.ListenUnixgram(network, a)
		if err != nil {
			t.Fatal(err)
		}
		return func() net.Conn { return sock }
	}
	ln, err := net.ListenUnix(network, a)
	if err != nil {
		t.Fatal(err)
	}
	return func() net.Conn {
		defer ln.Close()
		conn, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
}

// A receiver of datagrams that was started again gets what the old one may have
// lost.
func TestUnixgramRestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	s := NewSender(Config{Addresses: []Address{{Scheme: Scheme{Name: "unixgram", Network: "unixgram"}, Path: path}}, ResendBytes: 1 << 10})
	defer s.Close()
	receive := func() (conn net.Conn, got chan string) {
		conn = acceptUnix(t, "unixgram", path)()
		got = make(chan string, 10)
		go func() {
			b := make([]byte, 100)
			for {
				n, err := conn.Read(b)
				if err != nil {
					return
				}
				got <- string(b[:n])
			}
		}()
		return conn, got
	}
	conn, got := receive()
	send(t, s, "a")
	if f := <-got; f != "a" {
		t.Fatal(f)
	}
	conn.Close()
	_ = os.Remove(path)
	conn, got = receive()
	defer conn.Close()
	sendUntil(t, s, "b")
	if f := (<-got) + (<-got); f != "ab" {
		t.Errorf("got %q", f)
	}
}

// With UDP there is an error if the peer's system says that nobody listens.
func TestRefusedDatagrams(t *testing.T) {
	port, err := receiver.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	s := NewSender(Config{Addresses: []Address{{Scheme: Scheme{Name: "udp", Network: "udp", Port: port}, Host: "127.0.0.1"}}})
	defer s.Close()
	b, ends := join("a", "b")
	n, err := s.Send(t.Context(), b, ends)
	for deadline := time.Now().Add(patience); err == nil && time.Now().Before(deadline); {
		n, err = s.Send(t.Context(), b, ends)
	}
	if err == nil || n != 0 || !strings.Contains(err.Error(), "refused") {
		t.Errorf("%d, %v", n, err)
	}
}

func TestForget(t *testing.T) {
	p := newPeer(t)
	p.ln.Close()
	s := p.sender(Config{})
	if _, err := s.Send(t.Context(), []byte("a;"), []int{2}); err == nil {
		t.Fatal("a peer that is down has confirmed")
	}
	if err := s.Forget(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Send(t.Context(), nil, nil); n != 0 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

func TestSendEndsWithItsContext(t *testing.T) {
	p := newPeer(t)
	s := p.sender(Config{StallTimeout: time.Hour})
	ctx, cancel := context.WithCancel(t.Context())
	sent := make(chan error, 1)
	go func() {
		b := bytes.Repeat([]byte("x"), 64<<20)
		_, err := s.Send(ctx, b, []int{len(b)})
		sent <- err
	}()
	p.accept() // and never read
	cancel()
	if err := <-sent; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := s.Send(t.Context(), nil, nil); !errors.Is(err, ErrSenderClosed) {
		t.Error(err)
	}
}
