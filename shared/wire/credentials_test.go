//go:build linux || darwin

package wire

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc/credentials"
)

// socketPair returns both ends of a connection over network.
func socketPair(t *testing.T, network string) (client, server net.Conn) {
	t.Helper()
	addr := "127.0.0.1:0"
	if network == "unix" {
		dir, err := os.MkdirTemp("", "s") // t.TempDir may be too long for a socket
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		addr = filepath.Join(dir, "s")
	}
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	client, err = net.Dial(network, l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = client.Close(), server.Close() })
	return client, server
}

func handshakes(t *testing.T, network string, check func(Peer) error) map[string]func() (net.Conn, credentials.AuthInfo, error) {
	t.Helper()
	client, server := socketPair(t, network)
	c := PeerCredentials(check).Clone()
	return map[string]func() (net.Conn, credentials.AuthInfo, error){
		"client": func() (net.Conn, credentials.AuthInfo, error) {
			return c.ClientHandshake(context.Background(), "driver", client)
		},
		"server": func() (net.Conn, credentials.AuthInfo, error) { return c.ServerHandshake(server) },
	}
}

func TestPeerCredentials(t *testing.T) {
	for side, handshake := range handshakes(t, "unix", CheckPID(os.Getpid())) {
		_, info, err := handshake()
		if err != nil {
			t.Errorf("%s: %v", side, err)
			continue
		}
		p, ok := info.(PeerInfo)
		if !ok || p.Peer != (Peer{PID: os.Getpid(), UID: os.Geteuid()}) {
			t.Errorf("%s: info = %+v", side, info)
		}
		if err := credentials.CheckSecurityLevel(info, credentials.PrivacyAndIntegrity); err != nil {
			t.Errorf("%s: %v", side, err)
		}
	}
}

func TestPeerCredentialsRefuse(t *testing.T) {
	want := errors.New("not you")
	for side, handshake := range handshakes(t, "unix", func(Peer) error { return want }) {
		if conn, _, err := handshake(); !errors.Is(err, want) || conn != nil {
			t.Errorf("%s: %v, %v", side, conn, err)
		}
	}
}

func TestPeerCredentialsNeedUnixSocket(t *testing.T) {
	accept := func(Peer) error { return nil }
	for side, handshake := range handshakes(t, "tcp", accept) {
		if _, _, err := handshake(); !errors.Is(err, ErrNotUnixSocket) {
			t.Errorf("%s: err = %v", side, err)
		}
	}
	a, b := net.Pipe()
	defer func() { _, _ = a.Close(), b.Close() }()
	if _, _, err := PeerCredentials(accept).ServerHandshake(a); !errors.Is(err, ErrNotUnixSocket) {
		t.Errorf("pipe: err = %v", err)
	}
}

func TestChecks(t *testing.T) {
	me, stranger := os.Geteuid(), 4242
	for _, tt := range []struct {
		what  string
		check func(Peer) error
		peer  Peer
		ok    bool
	}{
		{"the started process", CheckPID(7), Peer{PID: 7, UID: stranger}, true},
		{"another process", CheckPID(7), Peer{PID: 8, UID: me}, false},
		{"an invisible process", CheckPID(7), Peer{UID: me}, false},
		{"own user", CheckHost(), Peer{PID: 8, UID: me}, true},
		{"root", CheckHost(), Peer{PID: 8}, true},
		{"the parent", CheckHost(), Peer{PID: os.Getppid(), UID: stranger}, os.Getppid() > 1},
		{"another user", CheckHost(), Peer{PID: os.Getppid() + 1, UID: stranger}, false},
	} {
		err := tt.check(tt.peer)
		if (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.what, err)
		}
		if err != nil && !strings.Contains(err.Error(), "process") {
			t.Errorf("%s: %v does not name the process", tt.what, err)
		}
	}
}
