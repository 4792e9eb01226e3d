//go:build unix

package launch

import (
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// script returns a program of one line.
func script(t *testing.T, says string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	text := "#!/bin/sh\necho '{\"name\":\"" + says + "\",\"protocol\":{\"min\":1,\"max\":1},\"options\":[]}'\n"
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestVerifiedBytesAreExecuted replaces the file, and changes it in place, at the
// moment between the look at its bytes and their execution.
func TestVerifiedBytesAreExecuted(t *testing.T) {
	evil, err := os.ReadFile(script(t, "evil"))
	if err != nil {
		t.Fatal(err)
	}
	for name, tamper := range map[string]func(string) error{
		"replaced": func(path string) error { return os.Rename(script(t, "evil"), path) },
		"changed":  func(path string) error { return os.WriteFile(path, evil, 0o700) },
		"removed":  os.Remove,
	} {
		cfg, _ := program(t, "good")
		cfg.Path = script(t, "honest")
		text, err := os.ReadFile(cfg.Path)
		if err != nil {
			t.Fatal(err)
		}
		cfg.Verify = func(sum [sha256.Size]byte) error {
			if sum != sha256.Sum256(text) {
				t.Error("another sum")
			}
			return tamper(cfg.Path)
		}
		d, err := Describe(t.Context(), cfg)
		if err != nil || d.Name != "honest" {
			t.Errorf("%s: it says that it is %q, %v", name, d.Name, err)
		}
		noSockets(t, cfg)
	}
}

func TestRefusedBytesAreNotExecuted(t *testing.T) {
	cfg, _ := program(t, "good")
	refusal := errors.New("unknown bytes")
	cfg.Verify = func([sha256.Size]byte) error { return refusal }
	if _, err := Start(t.Context(), cfg); !errors.Is(err, refusal) {
		t.Errorf("Start: %v", err)
	}
	if _, err := Describe(t.Context(), cfg); !errors.Is(err, refusal) {
		t.Errorf("Describe: %v", err)
	}
	noSockets(t, cfg)
}

func TestStartVerified(t *testing.T) {
	cfg, _ := program(t, "good")
	cfg.Verify = func([sha256.Size]byte) error { return nil }
	p := startProgram(t, cfg)
	if err := checkHealth(t.Context(), p.Conn()); err != nil {
		t.Error(err)
	}
}

// A private copy stands in for memory where programs cannot be executed from that.
func TestPrivateCopy(t *testing.T) {
	scratch := t.TempDir()
	i, err := privateCopy(strings.NewReader("#!/bin/sh\nexit 7\n"), scratch, func([sha256.Size]byte) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(i.path)
	if err != nil || fi.Mode().Perm() != 0o555 || !strings.HasPrefix(i.path, scratch) {
		t.Errorf("%s: %v, %v", i.path, fi, err)
	}
	i.remove()
	if _, err := privateCopy(strings.NewReader(""), scratch, func([sha256.Size]byte) error { return os.ErrInvalid }); !errors.Is(err, os.ErrInvalid) {
		t.Errorf("err = %v", err)
	}
	if left, _ := os.ReadDir(scratch); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
}
