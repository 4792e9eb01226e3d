package remote

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

func listenUnixgram(t *testing.T, path string) *net.UnixConn {
	t.Helper()
	ln, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

// What a receiver had not read when it was started again is not confirmed, though
// it waits nowhere any more, and goes to the new one.
func TestDatagramsVanishWithTheReceiver(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("skipped: other systems do not tell what was read")
	}
	for name, path := range map[string]string{
		"path": filepath.Join(t.TempDir(), "s"), "abstract": fmt.Sprintf("@logplug-test-%d", os.Getpid()),
	} {
		t.Run(name, func(t *testing.T) {
			first := listenUnixgram(t, path)
			s := NewSender(Config{
				Addresses:    []Address{{Scheme: Scheme{Name: "unixgram", Network: "unixgram"}, Path: path}},
				StallTimeout: 50 * time.Millisecond, ResendBytes: 1 << 10,
			})
			defer s.Close()
			b, ends := join("a;", "b;")
			if n, err := s.Send(t.Context(), b, ends); n != 0 || err == nil || !strings.Contains(err.Error(), "takes nothing") {
				t.Fatalf("%d, %v of a receiver that does not read", n, err)
			}
			first.Close()
			_ = os.Remove(path) // where it has a file
			second := listenUnixgram(t, path)
			if n, err := s.Send(t.Context(), nil, nil); n != 0 || err == nil || !strings.Contains(err.Error(), "started again") {
				t.Fatalf("%d, %v of a receiver that was started again", n, err)
			}
			read := make(chan string, 1)
			go func() {
				var all string
				buf := make([]byte, 16)
				for range ends {
					n, err := second.Read(buf)
					if err != nil {
						break
					}
					all += string(buf[:n])
				}
				read <- all
			}()
			confirmed := 0 // by turns, if the reader is slow
			for deadline := time.Now().Add(patience); confirmed < len(ends) && time.Now().Before(deadline); {
				n, _ := s.Send(t.Context(), nil, nil)
				confirmed += n
			}
			if confirmed != len(ends) {
				t.Fatalf("%d datagrams are confirmed, want %d", confirmed, len(ends))
			}
			if got := <-read; got != "a;b;" {
				t.Errorf("got %q", got)
			}
		})
	}
}

// A receiver is another one if its file has the inode of the one before.
func TestReceiverWithTheSameInode(t *testing.T) {
	a := Address{Scheme: Scheme{Name: "unixgram", Network: "unixgram"}, Path: filepath.Join(t.TempDir(), "s")}
	listenUnixgram(t, a.Path)
	sock, err := dialSocket(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	l, err := newDatagramLink(a, sock)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	if err := l.(*datagramLink).alive(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(a.Path, time.Time{}, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := l.(*datagramLink).alive(); err == nil {
		t.Error("it is taken for the one before")
	}
}
