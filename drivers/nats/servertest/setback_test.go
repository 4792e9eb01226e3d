package servertest

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/logplug/logplug/shared/logdriver"
)

// setBack makes a server that does not run have the data that it had when saved was made.
func (n *node) setBack(t *testing.T, saved string) {
	t.Helper()
	if err := os.RemoveAll(n.opts.StoreDir); err != nil {
		t.Fatal(err)
	}
	n.opts.StoreDir = saved
}

// save copies the data of a server, which it starts again.
func (n *node) save(t *testing.T) (saved string) {
	t.Helper()
	saved = t.TempDir()
	n.stop()
	if err := os.CopyFS(saved, os.DirFS(n.opts.StoreDir)); err != nil {
		t.Fatal(err)
	}
	n.start(t)
	return saved
}

// away is a follower that has read some lines, and whose way to the server is gone then.
type away struct {
	*logdriver.LogWatcher
	proxy *proxy
}

func follow(t *testing.T, n *node, id string, lines int) away {
	t.Helper()
	p := newProxy(t, strings.TrimPrefix(n.url(), "nats://"), 0)
	m := newMachine(n, map[string]string{"nats-url": "nats://" + p.listener.Addr().String()})
	r, done, err := m.reader(id)
	if err != nil {
		t.Fatal(err)
	}
	w := r.ReadLogs(t.Context(), logdriver.ReadConfig{Tail: -1, Follow: true})
	t.Cleanup(func() {
		w.Close()
		if err := done(); err != nil {
			t.Error(err)
		}
	})
	for range lines {
		receive(t, w)
	}
	p.close()
	return away{w, p}
}

// back opens the way again.
func (a *away) back(t *testing.T) {
	t.Helper()
	newProxyAt(t, a.proxy.listener.Addr().String(), a.proxy.target, 0)
}

// receive returns the next message of a follower.
func receive(t *testing.T, w *logdriver.LogWatcher) *logdriver.Message {
	t.Helper()
	select {
	case m, ok := <-w.Msg:
		if ok && m.Err == nil {
			return m
		}
		select {
		case err := <-w.Err:
			t.Fatalf("the follower has ended: %v", err)
		default:
			t.Fatalf("the follower has got %+v", m)
		}
	case <-time.After(patience):
		t.Fatal("the follower gets nothing")
	}
	return nil
}

// wantGap checks that a follower ends without another line, and says why.
func wantGap(t *testing.T, w *logdriver.LogWatcher) {
	t.Helper()
	late := time.AfterFunc(patience, func() { w.Close() })
	defer late.Stop()
	if lines, err := drain(w); !errors.Is(err, logdriver.ErrGap) || len(lines) > 0 {
		t.Errorf("it gets %q, and ends with %v", lines, err)
	}
}

// A follower whose stream was set back says so, whether or not others have filled
// up what is gone.
func TestStreamIsSetBack(t *testing.T) {
	for name, last := range map[string]int{"nothing follows": 4, "some lines follow": 8, "more lines follow": 20} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := startNode(t)
			w := newMachine(n, nil).open(t, "id")
			write(t, w, numbered(1, 4))
			saved := n.save(t)
			write(t, newMachine(n, nil).open(t, "id"), numbered(1, 10))
			a := follow(t, n, "id", 10)
			n.stop()
			n.setBack(t, saved)
			n.start(t)
			write(t, newMachine(n, nil).open(t, "id"), numbered(1, last))
			a.back(t)
			wantGap(t, a.LogWatcher)
		})
	}
}

// The same with a stream that was made anew, and is shared.
func TestStreamIsMadeAnew(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	write(t, newMachine(n, nil).open(t, "id"), numbered(1, 10))
	a := follow(t, n, "id", 10)
	if err := n.client(t).DeleteStream(t.Context(), "LOGPLUG"); err != nil {
		t.Fatal(err)
	}
	w := newMachine(n, nil)
	write(t, w.open(t, "other"), numbered(1, 20))
	write(t, w.open(t, "id"), numbered(1, 20))
	a.back(t)
	wantGap(t, a.LogWatcher)
}
