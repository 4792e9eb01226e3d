//go:build unix

package launch

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/logplug/logplug/shared/wire"
)

// running starts a driver and returns how to attach to it.
func running(t *testing.T) (*Process, AttachConfig) {
	t.Helper()
	cfg, _ := program(t, "rude")
	p := startProgram(t, cfg)
	return p, AttachConfig{Name: "test", Logger: cfg.Logger, StartTimeout: 10 * time.Second, Attachment: wire.Attachment{
		PID: p.Pid(), Network: "unix", Address: p.dir + "/s", Protocol: 1,
	}}
}

func TestAttach(t *testing.T) {
	p, cfg := running(t)
	a, err := Attach(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := checkHealth(t.Context(), a.Conn()); err != nil {
		t.Error(err)
	}
	if err := a.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	awaitDone(t, a)
	var e *ExitError
	if !errors.As(a.Err(), &e) || !e.Detached || !e.Stopped {
		t.Errorf("Err = %#v", a.Err())
	}
	if err := checkHealth(t.Context(), p.Conn()); err != nil {
		t.Errorf("the driver does not run any more: %v", err)
	}
}

func TestAttachedDriverEnds(t *testing.T) {
	p, cfg := running(t)
	a, err := Attach(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	p.Kill()
	awaitDone(t, a)
	var e *ExitError
	if !errors.As(a.Err(), &e) || e.Stopped {
		t.Errorf("Err = %#v", a.Err())
	}
	a.Kill()
}

func TestAttachRefuses(t *testing.T) {
	_, good := running(t)
	for want, change := range map[string]func(*AttachConfig){
		"not to the driver": func(c *AttachConfig) { c.Attachment.PID = os.Getpid() },
		"version 9":         func(c *AttachConfig) { c.Attachment.Protocol = 9 },
		"only unix":         func(c *AttachConfig) { c.Attachment.Network = "tcp" },
		"no such file": func(c *AttachConfig) {
			c.Attachment.Address += "x"
			c.StartTimeout = 3 * time.Second
		},
	} {
		cfg := good
		change(&cfg)
		if _, err := Attach(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("err = %v, want %q", err, want)
		}
	}
}
