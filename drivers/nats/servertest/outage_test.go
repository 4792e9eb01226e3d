package servertest

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/sdk/drivertest"
	"github.com/logplug/logplug/shared/logdriver"
)

// A server that is down when a log is opened is no reason to fail, to wait for
// long, or to lose anything.
func TestServerDownAtOpen(t *testing.T) {
	n := newNode(t)
	m := newMachine(n, map[string]string{"nats-timeout": "1s"})
	w := closing(t, m.open(t, "id"))
	follower := w.ReadLogs(t.Context(), logdriver.ReadConfig{Tail: 0, Follow: true})
	if _, err := drain(w.ReadLogs(t.Context(), logdriver.ReadConfig{Tail: -1})); err == nil {
		t.Error("reading from a server that is down succeeds")
	}
	msgs := numbered(1, 50)
	if err := w.LogBatch(t.Context(), msgs); err == nil || !strings.Contains(err.Error(), n.url()) {
		t.Fatalf("%v", err)
	}
	n.start(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err := pursue(ctx, msgs, len(msgs), func() (writer, error) { return w, nil })
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	same(t, collect(t, follower), 1, 50)
	same(t, newMachine(n, nil).read(t, "id", logdriver.ReadConfig{Tail: -1}), 1, 50)
}

// The statistics of a host say why messages wait, and nothing of what it has accepted is
// lost.
func TestServerDownShows(t *testing.T) {
	n := newNode(t)
	h, err := host.New(host.Config{PluginDirs: []string{filepath.Dir(drivertest.Self(t, "nats"))}, Timeouts: host.Timeouts{Start: patience, Call: patience}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := h.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	m := newMachine(n, map[string]string{"nats-timeout": "1s"})
	info := m.info("id")
	info.Stream = "" // the host names one
	l, err := h.Open(t.Context(), "nats", info)
	if err != nil {
		t.Fatal(err)
	}
	for _, msg := range numbered(1, 100) {
		if err := l.Log(msg); err != nil {
			t.Fatal(err)
		}
	}
	want := "not connected to NATS at " + n.url()
	eventually(t, "the logger shows why it is blocked", func() bool {
		blocked := l.Stats().Blocked
		return strings.Contains(blocked, want) && strings.Contains(blocked, "connection refused")
	})
	n.start(t)
	eventually(t, "everything is stored", func() bool {
		st := l.Stats()
		return st.Acked.Messages == 100 && st.Blocked == ""
	})
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	same(t, newMachine(n, nil).read(t, "id", logdriver.ReadConfig{Tail: -1}), 1, 100)
}

// Closing does not wait for a server that has gone.
func TestServerDownAtClose(t *testing.T) {
	n := startNode(t)
	w := newMachine(n, nil).open(t, "id")
	write(t, w, numbered(1, 3))
	n.stop()
	closed := make(chan error, 1)
	go func() { closed <- w.Close() }()
	select {
	case err := <-closed:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Error("it hangs")
	}
}

// What was acknowledged long ago is known after the stream has forgotten the IDs
// of messages, and after the server was started again.
func TestDuplicateWindowExceeded(t *testing.T) {
	n := startNode(t)
	if _, err := n.client(t).CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "LOGPLUG", Subjects: []string{"logs.*"}, Duplicates: 100 * time.Millisecond, AllowAtomicPublish: true,
	}); err != nil {
		t.Fatal(err)
	}
	w := newMachine(n, nil).open(t, "id") // its host is killed: it is not closed
	write(t, w, numbered(1, 30))
	n.stop()
	n.start(t)
	m := newMachine(n, nil)
	next := closing(t, m.reopen(t, "id"))
	if next.LastSeq() != 30 {
		t.Errorf("%d", next.LastSeq())
	}
	write(t, next, numbered(10, 40)) // as by a host that knows nothing
	same(t, m.read(t, "id", logdriver.ReadConfig{Tail: -1}), 1, 40)
	w.Close()
}

// proxy is a way to a server that breaks now and then, in either direction, at any
// byte.
type proxy struct {
	listener net.Listener
	target   string
	mu       sync.Mutex
	conns    map[net.Conn]bool
	running  sync.WaitGroup
	closed   bool
	bytes    int // after which a connection breaks, 0 for never
}

func newProxy(t testing.TB, target string, bytes int) *proxy {
	return newProxyAt(t, "127.0.0.1:0", target, bytes)
}

func newProxyAt(t testing.TB, address, target string, bytes int) *proxy {
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, target: target, conns: map[net.Conn]bool{}, bytes: bytes}
	p.running.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

func (p *proxy) close() {
	p.mu.Lock()
	p.closed = true
	p.listener.Close()
	for c := range p.conns {
		c.Close()
	}
	p.mu.Unlock()
	p.running.Wait()
}

func (p *proxy) heal() {
	p.mu.Lock()
	p.bytes = 0
	p.mu.Unlock()
}

func (p *proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		s, err := net.Dial("tcp", p.target)
		if err != nil {
			c.Close()
			continue
		}
		p.mu.Lock()
		p.conns[c], p.conns[s] = true, true
		if p.closed {
			c.Close()
			s.Close()
		}
		limit := p.bytes
		p.mu.Unlock()
		copying := func(to, from net.Conn) {
			var r io.Reader = from
			if limit > 0 {
				r = io.LimitReader(from, int64(2000+rand.IntN(limit)))
			}
			_, _ = io.Copy(to, r) // it breaks: that is what it is for
			c.Close()
			s.Close()
		}
		p.running.Go(func() { copying(s, c) })
		p.running.Go(func() { copying(c, s) })
	}
}

// Connections that break anywhere, before and behind what the server has stored,
// and drivers that are killed then: everything is stored once, in order.
func TestBrokenConnections(t *testing.T) {
	for name, config := range map[string]jetstream.StreamConfig{
		"batches": {AllowAtomicPublish: true}, "singles": {},
	} {
		t.Run(name, func(t *testing.T) {
			n := startNode(t)
			config.Name, config.Subjects, config.Duplicates = "LOGPLUG", []string{"logs.*"}, 100*time.Millisecond
			if _, err := n.client(t).CreateStream(t.Context(), config); err != nil {
				t.Fatal(err)
			}
			p := newProxy(t, strings.TrimPrefix(n.url(), "nats://"), 12_000)
			broken := map[string]string{"nats-url": "nats://" + p.listener.Addr().String(), "nats-timeout": "300ms"}
			direct := newMachine(n, nil)
			ctx, cancel := context.WithTimeout(t.Context(), 5*patience)
			defer cancel()
			var (
				w       writer
				opened  int
				closing sync.WaitGroup
			)
			defer closing.Wait()
			fresh := func() (writer, error) {
				if opened++; opened > 1 && rand.IntN(2) == 0 {
					return w, nil // as the sdk: once more
				}
				if w := w; w != nil {
					closing.Go(func() { w.Close() }) // as good as killed
				}
				m := newMachine(n, broken)
				var err error
				w, err = m.tryOpen(m.info("id"))
				return w, err
			}
			const total = 400
			if err := pursue(ctx, numbered(1, total), 37, fresh); err != nil {
				t.Fatal(err)
			}
			if opened < 5 {
				t.Errorf("the connection broke %d times: not enough to tell anything", opened)
			}
			p.heal()
			same(t, direct.read(t, "id", logdriver.ReadConfig{Tail: -1}), 1, total)
			if err := w.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// Readers go on where they were when their connection breaks.
func TestReadingOverBrokenConnections(t *testing.T) {
	n := startNode(t)
	w := newMachine(n, nil).open(t, "id")
	p := newProxy(t, strings.TrimPrefix(n.url(), "nats://"), 300_000)
	m := newMachine(n, map[string]string{"nats-url": "nats://" + p.listener.Addr().String(), "nats-timeout": "300ms"})
	write(t, w, numbered(1, 1000))
	var (
		r    logdriver.LogReader
		done func() error
	)
	eventually(t, "the log is opened for reading", func() (ok bool) {
		var err error
		r, done, err = m.reader("id")
		return err == nil
	})
	follower := r.ReadLogs(t.Context(), logdriver.ReadConfig{Tail: -1, Follow: true})
	for i := 1000; i < 7_000; i += 1000 {
		write(t, w, numbered(i+1, i+1000))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	lines, err := drain(follower)
	if err != nil && !errors.Is(err, logdriver.ErrGap) {
		t.Fatalf("after %d lines: %v", len(lines), err)
	}
	same(t, lines, 1, 7_000)
	if err := done(); err != nil {
		t.Error(err)
	}
}
