package servertest

import (
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/logplug/logplug/sdk/drivertest/receiver"
)

// patience bounds each wait of a test.
const patience = time.Minute

// node is a server that can be stopped and started again, with the same port and
// data.
type node struct {
	opts   server.Options
	server *server.Server
}

// newNode returns a server that does not run yet.
func newNode(t testing.TB, change ...func(*server.Options)) *node {
	n := &node{opts: server.Options{
		ServerName: "n", Host: "127.0.0.1", Port: freePort(t), JetStream: true, StoreDir: t.TempDir(),
		NoSigs: true, NoLog: true, JetStreamMaxMemory: 256 << 20, JetStreamMaxStore: 4 << 30,
	}}
	for _, f := range change {
		f(&n.opts)
	}
	t.Cleanup(n.stop)
	return n
}

// startNode returns a server that runs.
func startNode(t testing.TB, change ...func(*server.Options)) *node {
	n := newNode(t, change...)
	n.start(t)
	return n
}

func (n *node) start(t testing.TB) {
	t.Helper()
	opts := n.opts
	s, err := server.NewServer(&opts)
	if err != nil {
		t.Fatal(err)
	}
	n.server = s
	s.Start()
	if !s.ReadyForConnections(patience) {
		t.Fatal("the server does not get ready")
	}
}

func (n *node) stop() {
	if n.server != nil {
		n.server.Shutdown()
		n.server.WaitForShutdown()
		n.server = nil
	}
}

func (n *node) url() string { return fmt.Sprintf("nats://127.0.0.1:%d", n.opts.Port) }

// client connects as a user would.
func (n *node) client(t testing.TB, opts ...nats.Option) jetstream.JetStream {
	t.Helper()
	conn, err := nats.Connect(n.url(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// freePort returns a port that nobody listens on: servers that are started again
// and members of a cluster must know theirs before.
func freePort(t testing.TB) int {
	t.Helper()
	port, err := receiver.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}
