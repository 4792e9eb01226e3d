package servertest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/logplug/logplug/shared/logdriver"
)

// Nodes that are killed and started at random while logs are written and read:
// nothing is lost, nothing is there twice, the order is kept.
func TestCluster(t *testing.T) {
	members := startCluster(t)
	config := map[string]string{"nats-url": urls(members), "nats-replicas": "3", "nats-timeout": "1s"}
	m := machineFor(config)
	ctx, cancel := context.WithTimeout(t.Context(), 5*patience)
	defer cancel()
	eventually(t, "the cluster is there", func() bool {
		w, err := m.tryOpen(m.info("first"))
		if err != nil {
			return false
		}
		defer w.Close()
		return w.LogBatch(ctx, numbered(1, 1)) == nil
	})
	conn, err := nats.Connect(urls(members), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	const logs = 3
	var (
		work     sync.WaitGroup
		enough   = make(chan struct{}) // closed when nodes were killed
		written  = make([]int, logs)
		followed = make([][]string, logs)
	)
	for i := range logs {
		id := fmt.Sprint("log", i)
		w := m.open(t, id)
		if err := untilStored(ctx, w, numbered(1, 50)); err != nil {
			t.Fatal(err)
		}
		r, done, err := machineFor(config).reader(id)
		if err != nil {
			t.Fatal(err)
		}
		follower := r.ReadLogs(ctx, logdriver.ReadConfig{Tail: -1, Follow: true})
		work.Go(func() {
			defer done()
			if followed[i], err = drain(follower); err != nil {
				t.Errorf("%s: following ended after %d lines: %v", id, len(followed[i]), err)
			}
		})
		work.Go(func() { written[i] = writeSlowly(ctx, t, w, 50, enough) })
	}
	finished := make(chan struct{})
	go func() { work.Wait(); close(finished) }()
	disturb(ctx, t, members, js, enough, finished)
	settled(ctx, t, js)
	delete(config, "nats-timeout")
	for i, lines := range followed {
		same(t, lines, 1, written[i])
		same(t, machineFor(config).read(t, fmt.Sprint("log", i), logdriver.ReadConfig{Tail: -1}), 1, written[i])
	}
}

func machineFor(config map[string]string) machine { return newMachine(&node{}, config) }

// writeSlowly writes the messages behind first until enough nodes have gone, closes the
// logger, and returns the last one.
func writeSlowly(ctx context.Context, t *testing.T, w writer, first int, enough <-chan struct{}) (last int) {
	pace := time.NewTicker(100 * time.Millisecond)
	defer pace.Stop()
	last = first
	for ended := false; !ended; {
		if err := untilStored(ctx, w, numbered(last+1, last+50)); err != nil {
			t.Error(err)
			break
		}
		last += 50
		select {
		case <-pace.C:
		case <-ctx.Done():
		}
		select {
		case <-enough:
			ended = true
		default:
		}
	}
	if err := untilClosed(ctx, w); err != nil {
		t.Error(err)
	}
	return last
}

// untilClosed closes a logger at a time when the cluster can take note of it.
func untilClosed(ctx context.Context, w writer) error {
	for ctx.Err() == nil {
		if _, err := drain(w.ReadLogs(ctx, logdriver.ReadConfig{Tail: 1})); err == nil {
			return w.Close()
		}
	}
	return ctx.Err()
}

// untilStored offers messages again until they are stored, as the sdk does.
func untilStored(ctx context.Context, w writer, msgs []*logdriver.Message) error {
	return pursue(ctx, msgs, len(msgs), func() (writer, error) { return w, nil })
}

// disturb kills one node after the other, every second time the stream's leader,
// and starts it again, until the work is finished. It closes enough when three were killed.
func disturb(ctx context.Context, t *testing.T, members []member, js jetstream.JetStream, enough chan<- struct{}, finished <-chan struct{}) {
	after := func(d time.Duration) bool {
		select {
		case <-finished:
			return false
		case <-time.After(d):
			return true
		}
	}
	for round := 0; ; round++ {
		if round == 3 {
			close(enough)
		}
		if !after(time.Second) {
			return
		}
		victim := members[rand.IntN(len(members))]
		leader, _ := clusterOf(ctx, js)
		for _, m := range members {
			if m.name == leader && round%2 == 0 {
				victim = m
			}
		}
		victim.process.Kill()
		after(time.Second)
		if err := victim.process.Start(ctx); err != nil {
			t.Fatal(err)
		}
		settled(ctx, t, js)
	}
}

// settled waits until the stream has a leader, and all its members are current:
// with two of three nodes away at once, no cluster can go on.
func settled(ctx context.Context, t *testing.T, js jetstream.JetStream) {
	t.Helper()
	eventually(t, "the cluster is whole", func() bool {
		leader, current := clusterOf(ctx, js)
		return leader != "" && current == 2
	})
}

// clusterOf returns the leader of the stream and the number of its followers that
// are current.
func clusterOf(ctx context.Context, js jetstream.JetStream) (leader string, current int) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	s, err := js.Stream(ctx, "LOGPLUG")
	if err != nil || s.CachedInfo().Cluster == nil {
		return "", 0
	}
	for _, p := range s.CachedInfo().Cluster.Replicas {
		if p.Current && !p.Offline {
			current++
		}
	}
	return s.CachedInfo().Cluster.Leader, current
}
