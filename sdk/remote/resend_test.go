package remote

import (
	"context"
	"io"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

// A peer that closes the connection without having read what its system has
// confirmed gets it again, at once.
func TestResendAfterReset(t *testing.T) {
	p := newPeer(t)
	s := p.sender(Config{ResendBytes: 1 << 10})
	send(t, s, "a1;", "a2;")
	first := p.accept()
	first.Close() // with data that was not read: the system sends a reset
	second := p.accept()
	expect(t, second, "a1;a2;")
	sendUntil(t, s, "b;")
	expect(t, second, "b;")
}

// Whoever sends again in the background goes on with the connections that follow,
// and sees to it that the memory is given back when what they have confirmed is old.
func TestResendAfterEachReset(t *testing.T) {
	p := newPeer(t)
	s := p.sender(Config{ResendBytes: 1 << 10, ResendAge: patience})
	send(t, s, "a;")
	within(t, s, "idle timer", func() bool { return s.idle.Stop() }) // as if it had run out meanwhile
	for range 2 {
		p.accept().Close() // with data that was not read
	}
	expect(t, p.accept(), "a;")
	within(t, s, "idle timer again", func() bool { return !s.box.owed() && s.idle.Stop() })
}

// within waits until a condition holds of the fields.
func within(t *testing.T, s *Sender, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for ok := false; !ok; {
		err := s.acquire(ctx)
		if err == nil {
			ok = holds()
			s.release()
			err = Sleep(ctx, maxPause)
		}
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
}

// A peer that ends each connection is not flooded with them: beside Send, one
// goroutine tries, and it pauses.
func TestOneResender(t *testing.T) {
	p := newPeer(t)
	s := p.sender(Config{ResendBytes: 1 << 10})
	var connections atomic.Int64
	go func() {
		for {
			conn, err := p.ln.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			conn.Close()
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	const enough = 40
	before := runtime.NumGoroutine()
	sends := 0
	for failed := 0; failed < enough; sends++ {
		if _, err := s.Send(ctx, []byte("a;"), []int{2}); err != nil {
			failed++
		}
	}
	if n := connections.Load(); n > int64(2*sends) {
		t.Errorf("%d connections for %d attempts to send", n, sends)
	}
	if n := runtime.NumGoroutine() - before; n > enough/4 {
		t.Errorf("%d goroutines more than before", n)
	}
}

// So does one that has read it, but no longer than it may be told again.
func TestResendAfterEnd(t *testing.T) {
	for _, tc := range []struct {
		name string
		cfg  Config
		want string
	}{
		{"everything", Config{ResendBytes: 1 << 10}, "a1;a2;b;"},
		{"limited", Config{ResendBytes: 5}, "a2;b;"},
		{"nothing", Config{}, "b;"},
		{"too old", Config{ResendBytes: 1 << 10, ResendAge: time.Nanosecond}, "b;"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newPeer(t)
			s := p.sender(tc.cfg)
			send(t, s, "a1;", "a2;")
			first := p.accept()
			expect(t, first, "a1;a2;")
			first.Close()
			sendUntil(t, s, "b;")
			expect(t, p.accept(), tc.want)
		})
	}
}

// What a connection that breaks at the very end may have lost is sent again by
// Close.
func TestCloseSendsAgain(t *testing.T) {
	p := newPeer(t)
	s := p.sender(Config{ResendBytes: 1 << 10, FinishTimeout: patience})
	send(t, s, "a;")
	first := p.accept()
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	<-s.ctx.Done()
	first.Close() // without reading
	second := p.accept()
	b, err := io.ReadAll(second)
	second.Close()
	if err != nil || string(b) != "a;" {
		t.Errorf("%q, %v", b, err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

// A peer whose system takes connections that nobody wants, as a proxy without its
// server, is not believed for long; nothing that it confirmed is lost.
func TestPeerThatEndsEarly(t *testing.T) {
	p := newPeer(t)
	s := p.sender(Config{ResendBytes: 1 << 10, Probation: 5 * time.Second}) // also if the machine is busy
	well := make(chan struct{})
	read := make(chan string, 1)
	refused := make(chan struct{}, 1)
	go func() {
		for {
			conn, err := p.ln.Accept()
			if err != nil {
				return
			}
			select {
			case <-well:
				b := make([]byte, 8)
				_, _ = io.ReadFull(conn, b)
				read <- string(b)
			default:
				conn.Close()
				select {
				case refused <- struct{}{}:
				default:
				}
			}
		}
	}()
	confirmed, failed := 0, 0
	for i := 0; i < 4; i++ {
		n, err := s.Send(t.Context(), []byte{'0' + byte(i), ';'}, []int{2})
		if confirmed += n; err != nil {
			failed++
		}
		if i == 0 {
			<-refused // until then the connection is like any other
		}
	}
	if failed < 3 {
		t.Errorf("%d frames of a peer that reads nothing are confirmed, %d attempts failed", confirmed, failed)
	}
	close(well)
	for deadline := time.Now().Add(patience); confirmed < 4 && time.Now().Before(deadline); {
		n, _ := s.Send(t.Context(), nil, nil)
		confirmed += n
	}
	if got := <-read; got != "0;1;2;3;" || confirmed != 4 {
		t.Errorf("%d are confirmed, it has read %q", confirmed, got)
	}
}
