//go:build unix

package launch

import (
	"crypto/sha256"
	"io"
	"runtime"
	"testing"
)

func TestWriteSocket(t *testing.T) {
	for name, verify := range map[string]func([sha256.Size]byte) error{
		"from its file": nil,
		"from a copy":   func([sha256.Size]byte) error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			cfg, _ := program(t, "greeter")
			cfg.Verify = verify
			p := startProgram(t, cfg)
			socket := p.WriteSocket()
			if socket == nil {
				t.Fatal("a process that has greeted has no write socket")
			}
			if _, err := io.WriteString(socket, "there and back"); err != nil {
				t.Fatal(err)
			}
			back := make([]byte, len("there and back"))
			if _, err := io.ReadFull(socket, back); err != nil || string(back) != "there and back" {
				t.Errorf("%q came back: %v", back, err)
			}
			p.child.kill()
			if n, err := socket.Read(back); err != io.EOF {
				t.Errorf("%d bytes and %v of a dead process", n, err)
			}
			awaitDone(t, p)
		})
	}
}

// TestWriteMemory: a process has a write memory if it has greeted so, and the system has any.
func TestWriteMemory(t *testing.T) {
	for mode, want := range map[string]bool{"sharer": runtime.GOOS == "linux", "greeter": false, "good": false} {
		t.Run(mode, func(t *testing.T) {
			cfg, _ := program(t, mode)
			p := startProgram(t, cfg)
			if got := p.WriteMemory() != nil; got != want {
				t.Errorf("there is one: %t", got)
			}
		})
	}
}

// TestNoWriteSocket: a process that does not know of the socket, or says something else
// through it, has none.
func TestNoWriteSocket(t *testing.T) {
	for _, mode := range []string{"good", "stranger"} {
		t.Run(mode, func(t *testing.T) {
			cfg, _ := program(t, mode)
			p := startProgram(t, cfg)
			if p.WriteSocket() != nil {
				t.Error("there is a write socket")
			}
		})
	}
}
