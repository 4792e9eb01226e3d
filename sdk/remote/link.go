package remote

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"
)

// link is one connection. One goroutine at a time uses it.
type link interface {
	// write gives the connection what of the box is not written, as far as it
	// goes until the deadline. Running out of time is no error.
	write(b *outbox, deadline time.Time) error
	// confirmed returns the position up to which the peer has everything, as far
	// as can be known. An error means that the connection is no more.
	confirmed(b *outbox) (int64, error)
	// silent tells that the peer has not answered for so long, although there
	// was something to answer, that it must be taken for lost.
	silent() bool
	// ended is closed when the peer has ended the connection; nil if that cannot
	// be noticed. cause may be called then.
	ended() <-chan struct{}
	cause() (time.Time, error)
	// finish says that nothing follows, and returns nil once the peer has read
	// everything and said that it ends too.
	finish(ctx context.Context) error
	// release gives back memory that is not in use while nothing is sent.
	release()
	// close lets go of it, and waits for its goroutine.
	close()
}

// keepAlive finds a peer that is gone within about a minute, while nothing is sent.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 10 * time.Second, Count: 4}

func dialSocket(ctx context.Context, a Address) (net.Conn, error) {
	d := net.Dialer{KeepAliveConfig: keepAlive}
	sock, err := d.DialContext(ctx, a.Network, a.Target())
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", a, shortened(err))
	}
	return sock, nil
}

// handshake encrypts sock, and closes it if that fails.
func handshake(ctx context.Context, a Address, cfg *tls.Config, sock net.Conn) (*tls.Conn, error) {
	if cfg == nil {
		cfg = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if cfg.ServerName == "" {
		cfg = cfg.Clone()
		cfg.ServerName = a.Host
	}
	conn := tls.Client(sock, cfg)
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = sock.Close()
		return nil, fmt.Errorf("connect to %s: TLS: %w", a, err)
	}
	return conn, nil
}

// shortened leaves out what net.Dial says of the address, which the caller does.
func shortened(err error) error {
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		return op.Err
	}
	return err
}

// open makes the link to an address.
func (s *Sender) open(ctx context.Context, a Address) (link, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.DialTimeout)
	defer cancel()
	sock, err := dialSocket(ctx, a)
	if err != nil {
		return nil, err
	}
	if a.Network == "udp" || a.Network == "unixgram" {
		return newDatagramLink(a, sock)
	}
	l := &streamLink{sock: sock, done: make(chan struct{}), exact: a.Network == "tcp"}
	var conn net.Conn = sock
	if a.TLS {
		m := &meter{Conn: sock}
		tlsConn, err := handshake(ctx, a, s.cfg.TLS, m)
		if err != nil {
			return nil, err
		}
		m.buffer(&l.out)
		conn = tlsConn
	}
	l.start(conn, a.TLS)
	return l, nil
}
