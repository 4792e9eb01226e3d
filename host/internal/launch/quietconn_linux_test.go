package launch

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// quietPair returns a quiet connection and what it is connected to.
func quietPair(t *testing.T) (*quietConn, *net.UnixConn) {
	t.Helper()
	ours, theirs, err := socketPair()
	if err != nil {
		t.Fatal(err)
	}
	quiet, err := newQuietConn(ours)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = quiet.Close() })
	peer, err := net.FileConn(theirs)
	if err := errors.Join(err, theirs.Close()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = peer.Close() })
	return quiet.(*quietConn), peer.(*net.UnixConn)
}

// events returns how many events an epoll instance has.
func events(t *testing.T, r *readiness) (n int) {
	t.Helper()
	err := r.raw.Control(func(epoll uintptr) {
		var err error
		if n, err = unix.EpollWait(int(epoll), make([]unix.EpollEvent, 1), 0); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Error(err)
	}
	return n
}

// TestQuiet: what the other side receives is no event, and what it sends is one.
func TestQuiet(t *testing.T) {
	quiet, peer := quietPair(t)
	for range 3 {
		if _, err := io.WriteString(quiet, "there"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(peer, make([]byte, len("there"))); err != nil {
			t.Fatal(err)
		}
		if in, out := events(t, quiet.in), events(t, quiet.out); in+out != 0 {
			t.Fatalf("%d events to receive and %d to send", in, out)
		}
	}
	if _, err := io.WriteString(peer, "back"); err != nil {
		t.Fatal(err)
	}
	if in, out := events(t, quiet.in), events(t, quiet.out); in != 1 || out != 0 {
		t.Fatalf("%d events to receive and %d to send", in, out)
	}
}

// TestQuietConnWaits: whoever waits for room is told of what has come before the system was
// asked for it, each time, and nobody is told afterwards.
func TestQuietConnWaits(t *testing.T) {
	quiet, peer := quietPair(t)
	if err := quiet.SetWriteDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		calls := 0
		// There is room from the beginning.
		if err := quiet.out.until(func(uintptr) bool { calls++; return calls > 1 }); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.WriteString(quiet, "there"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(peer, make([]byte, len("there"))); err != nil {
		t.Fatal(err)
	}
	if n := events(t, quiet.out); n != 0 {
		t.Error("nobody waits for room, which is an event nevertheless")
	}
}

// TestQuietConnTransfer moves more than the socket holds in both directions at once, in several
// buffers, some of them empty.
func TestQuietConnTransfer(t *testing.T) {
	quiet, peer := quietPair(t)
	sent := make([]byte, 8<<20)
	for i := range sent {
		sent[i] = byte(i * i >> 8)
	}
	writes := make(chan error, 2)
	go func() {
		var parts net.Buffers
		for rest := sent; len(rest) > 0; {
			n := min(len(rest), 1+len(rest)%70_000)
			parts = append(parts, rest[:n:n], nil)
			rest = rest[n:]
		}
		n, err := quiet.WriteBuffers(&parts)
		if err == nil && (n != int64(len(sent)) || len(parts) > 0) {
			err = errors.New("not everything was written")
		}
		writes <- err
	}()
	go func() {
		_, err := peer.Write(sent)
		writes <- err
	}()
	reads := make(chan error, 2)
	for _, from := range []io.Reader{quiet, peer} {
		go func() {
			got := make([]byte, len(sent))
			_, err := io.ReadFull(from, got)
			if err == nil && !bytes.Equal(got, sent) {
				err = errors.New("other bytes have come")
			}
			reads <- err
		}()
	}
	for _, done := range []chan error{writes, writes, reads, reads} {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if n := events(t, quiet.out); n != 0 {
		t.Error("nobody waits for room, which is an event nevertheless")
	}
}

// TestQuietConnEnd: what waits ends when the connection is closed, at its deadline, and
// when the other side is gone.
func TestQuietConnEnd(t *testing.T) {
	past := time.Unix(1, 0)
	for name, c := range map[string]struct {
		end         func(*quietConn, *net.UnixConn) error
		read, write error
	}{
		"closed": {func(c *quietConn, _ *net.UnixConn) error { return c.Close() }, net.ErrClosed, net.ErrClosed},
		"deadline": {func(c *quietConn, _ *net.UnixConn) error {
			return errors.Join(c.SetReadDeadline(past), c.SetWriteDeadline(past))
		}, os.ErrDeadlineExceeded, os.ErrDeadlineExceeded},
		"gone": {func(_ *quietConn, peer *net.UnixConn) error { return peer.Close() }, io.EOF, unix.EPIPE},
	} {
		t.Run(name, func(t *testing.T) {
			quiet, peer := quietPair(t)
			read, wrote := make(chan error, 1), make(chan error, 1)
			go func() {
				_, err := quiet.Read(make([]byte, 1))
				read <- err
			}()
			go func() {
				_, err := quiet.Write(make([]byte, 8<<20)) // more than there is room for
				wrote <- err
			}()
			// It has begun to write.
			if _, err := io.ReadFull(peer, make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			if err := c.end(quiet, peer); err != nil {
				t.Fatal(err)
			}
			if err := <-wrote; !errors.Is(err, c.write) && !(name == "gone" && errors.Is(err, unix.ECONNRESET)) {
				t.Errorf("writing ended with %v, want %v", err, c.write)
			}
			if err := <-read; !errors.Is(err, c.read) && !(name == "gone" && errors.Is(err, unix.ECONNRESET)) {
				t.Errorf("reading ended with %v, want %v", err, c.read)
			}
			_ = quiet.Close()
			if _, err := quiet.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
				t.Errorf("reading from what is closed ended with %v", err)
			}
			if _, err := quiet.Write(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
				t.Errorf("writing to what is closed ended with %v", err)
			}
		})
	}
}
