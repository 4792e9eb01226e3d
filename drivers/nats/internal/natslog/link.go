package natslog

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/logplug/logplug/shared/logdriver"
)

const (
	dialTimeout = 2 * time.Second
	// A server that has vanished without a word is noticed within a minute.
	pingInterval = 20 * time.Second
	maxPings     = 2
	// Attempts to connect again begin at once on another server, and are this far
	// apart on one.
	reconnectWait   = 250 * time.Millisecond
	reconnectJitter = 250 * time.Millisecond
	// connectWait comes after an attempt that the library does not repeat.
	connectWait = time.Second
	// parallelBatches bounds the atomic batches that are under way at once. A
	// server takes 50 for a stream, from all its clients.
	parallelBatches = 8
)

// linkKey says to whom and how to connect. Loggers with equal keys share a
// connection.
type linkKey struct {
	urls, credentials, nkey, user, password, token string
	tls                                            any // a remote.TLSOptions
}

type linkConfig struct {
	key  linkKey
	tls  *tls.Config // nil: as the address says
	auth []nats.Option
}

// link checks the files that the options name, and returns how to connect.
func (o *Options) link() (linkConfig, error) {
	c := linkConfig{key: linkKey{
		urls: strings.Join(o.URL, ","), credentials: o.Credentials, nkey: o.NKey,
		user: o.User, password: o.Password, token: o.Token, tls: o.TLS,
	}}
	if o.TLS.Given() {
		cfg, err := o.TLS.Config(optionPrefix, "")
		if err != nil {
			return c, err
		}
		c.tls = cfg
	}
	switch {
	case o.Credentials != "":
		// The file is read again at each connection: it may be renewed meanwhile.
		if f, err := os.Open(o.Credentials); err != nil {
			return c, &logdriver.OptionError{Option: "nats-credentials", Reason: fmt.Sprintf("cannot read the file: %v", err)}
		} else if err := f.Close(); err != nil {
			return c, fmt.Errorf("close %s: %w", o.Credentials, err)
		}
		c.auth = []nats.Option{nats.UserCredentials(o.Credentials)}
	case o.NKey != "":
		auth, err := nats.NkeyOptionFromSeed(o.NKey)
		if err != nil {
			return c, &logdriver.OptionError{Option: "nats-nkey", Reason: fmt.Sprintf("the file %s holds no seed of a user's NKey: %v", o.NKey, err)}
		}
		c.auth = []nats.Option{auth}
	case o.User != "":
		c.auth = []nats.Option{nats.UserInfo(o.User, o.Password)}
	case o.Token != "":
		c.auth = []nats.Option{nats.Token(o.Token)}
	}
	return c, nil
}

// pool holds the connections that are in use.
type pool struct {
	mu    sync.Mutex
	links map[linkKey]*link
}

func newPool() *pool { return &pool{links: make(map[linkKey]*link)} }

// acquire returns a link, which the caller releases. It does not wait for a
// connection.
func (p *pool) acquire(c linkConfig) *link {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.links[c.key]
	if l == nil {
		l = &link{
			pool: p, config: c, open: make(map[string]int),
			batches: make(chan struct{}, parallelBatches), tried: make(chan struct{}), connected: make(chan struct{}),
			dialer: dialer{Dialer: net.Dialer{Timeout: dialTimeout}},
		}
		l.ctx, l.cancel = context.WithCancel(context.Background())
		p.links[c.key] = l
		go l.connect()
	}
	l.uses++
	return l
}

// link is a connection to a cluster that loggers and readers share.
type link struct {
	pool    *pool
	config  linkConfig
	batches chan struct{}      // holds a token for each batch that is under way
	ctx     context.Context    // ends when nobody uses the link any more
	cancel  context.CancelFunc // of ctx
	dialer  dialer

	tried     chan struct{} // closed when there is a connection, or the first attempt has failed
	connected chan struct{} // closed when the fields below are set
	conn      *nats.Conn
	js        jetstream.JetStream

	// Under pool.mu.
	uses int
	open map[string]int // loggers by stream and subject
	err  error          // of the last attempt that gave no connection
}

// connect ends when there is a connection, or one that goes on trying by itself,
// and closes it if nobody wants it any more by then.
func (l *link) connect() {
	for first := true; ; first = false {
		conn, err := nats.Connect(l.config.key.urls, l.options()...)
		if err == nil {
			l.conn = conn
			l.js, err = jetstream.New(conn)
		}
		l.pool.mu.Lock()
		l.err = err
		unused := l.uses == 0
		if err == nil {
			close(l.connected)
		}
		l.pool.mu.Unlock()
		if first {
			close(l.tried)
		}
		switch {
		case conn != nil && unused:
			conn.Close()
			return
		case err == nil:
			return
		}
		retry := time.NewTimer(connectWait)
		select {
		case <-retry.C:
		case <-l.ctx.Done():
			retry.Stop()
			return
		}
	}
}

func (l *link) options() []nats.Option {
	opts := append([]nats.Option{
		nats.Name("logplug"),
		nats.Timeout(dialTimeout), nats.SetCustomDialer(&l.dialer),
		nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1),
		nats.ReconnectWait(reconnectWait), nats.ReconnectJitter(reconnectJitter, reconnectJitter),
		nats.IgnoreAuthErrorAbort(), // credentials may be mended meanwhile
		// What cannot be sent now must fail now: the host keeps it.
		nats.ReconnectBufSize(-1),
		nats.PingInterval(pingInterval), nats.MaxPingsOutstanding(maxPings),
		nats.NoCallbacksAfterClientClose(),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			slog.Warn("the connection to NATS is lost, connecting again", "error", err)
		}),
		nats.ReconnectHandler(func(c *nats.Conn) {
			slog.Info("connected to NATS", "server", c.ConnectedUrlRedacted())
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			slog.Warn("NATS reports an error", "error", err)
		}),
	}, l.config.auth...)
	if l.config.tls != nil {
		opts = append(opts, nats.Secure(l.config.tls))
	}
	return opts
}

// now returns the connection if there is one right now.
func (l *link) now() (*nats.Conn, error) {
	select {
	case <-l.connected:
	default:
		return nil, l.absent(errNotConnected)
	}
	if !l.conn.IsConnected() {
		return nil, l.absent(cmp.Or(l.conn.LastError(), errNotConnected))
	}
	return l.conn, nil
}

var errNotConnected = errors.New("no server has answered yet")

// absent explains why there is no connection.
func (l *link) absent(cause error) error {
	l.pool.mu.Lock()
	defer l.pool.mu.Unlock()
	return fmt.Errorf("not connected to NATS at %s: %w", l.config.key.urls, cmp.Or(l.err, l.dialer.lastError(), cause))
}

// attempt returns nil if there is a connection. It waits for the first attempt alone.
func (l *link) attempt(ctx context.Context) error {
	select {
	case <-l.tried:
		_, err := l.now()
		return err
	case <-ctx.Done():
		return l.absent(ctx.Err())
	}
}

// get returns the connection once it is established.
func (l *link) get(ctx context.Context) (*nats.Conn, error) {
	select {
	case <-l.connected:
	case <-ctx.Done():
		return nil, l.absent(ctx.Err())
	}
	if l.conn.IsConnected() {
		return l.conn, nil
	}
	changed := l.conn.StatusChanged(nats.CONNECTED)
	defer l.conn.RemoveStatusListener(changed)
	for !l.conn.IsConnected() {
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, l.absent(cmp.Or(l.conn.LastError(), ctx.Err()))
		}
	}
	return l.conn, nil
}

// retain makes the link last until one more release.
func (l *link) retain() {
	l.pool.mu.Lock()
	l.uses++
	l.pool.mu.Unlock()
}

// release closes the connection when nobody uses it any more.
func (l *link) release() {
	l.pool.mu.Lock()
	l.uses--
	unused := l.uses == 0
	if unused {
		delete(l.pool.links, l.config.key)
	}
	l.pool.mu.Unlock()
	if !unused {
		return
	}
	l.cancel()
	select {
	case <-l.connected:
		l.conn.Close()
	default: // connect does it
	}
}

// enter counts a logger for a log.
func (l *link) enter(log string) {
	l.pool.mu.Lock()
	l.open[log]++
	l.pool.mu.Unlock()
}

// leave tells whether the caller was the last logger for a log.
func (l *link) leave(log string) bool {
	l.pool.mu.Lock()
	defer l.pool.mu.Unlock()
	l.open[log]--
	if l.open[log] > 0 {
		return false
	}
	delete(l.open, log)
	return true
}
