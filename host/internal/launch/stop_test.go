//go:build unix

package launch

import (
	"errors"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Neither Shutdown nor SIGTERM: the driver is killed.
func TestStopRude(t *testing.T) {
	cfg, _ := program(t, "rude")
	p := startProgram(t, cfg)
	err := p.Stop(within(t, 20*time.Second))
	if err == nil || !strings.Contains(err.Error(), "was killed") {
		t.Errorf("Stop = %v", err)
	}
	awaitDone(t, p)
	var e *ExitError
	if !errors.As(p.Err(), &e) || e.Signal != "SIGKILL" || !e.Stopped {
		t.Errorf("Err = %v", p.Err())
	}
}

// Calls to a process that is stopped are never answered.
func TestStopFrozen(t *testing.T) {
	cfg, _ := program(t, "good")
	p := startProgram(t, cfg)
	freeze(t, p.Pid())
	if err := p.Stop(within(t, 200*time.Millisecond)); err == nil {
		t.Error("Stop tells nothing")
	}
	awaitDone(t, p)
}

func TestKillFrozen(t *testing.T) {
	cfg, _ := program(t, "good")
	p := startProgram(t, cfg)
	freeze(t, p.Pid())
	p.Kill()
	p.Kill()
	if !isClosed(p.Done()) {
		t.Error("Kill did not wait")
	}
}

func TestStopConcurrently(t *testing.T) {
	cfg, _ := program(t, "good")
	p := startProgram(t, cfg)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			if i%4 == 3 {
				p.Kill()
				return
			}
			_ = p.Stop(within(t, 10*time.Second))
		})
	}
	wg.Wait()
	awaitDone(t, p)
}

// A process that holds the driver's pipes and is in its group dies with it.
func TestKillGroup(t *testing.T) {
	cfg, _ := program(t, "forker")
	p := startProgram(t, cfg)
	child := readPid(t, file(cfg))
	if err := p.Stop(within(t, 20*time.Second)); err != nil {
		t.Error(err)
	}
	eventually(t, "the driver's child ends", func() bool { return gone(child) })
}

// One that left the group keeps the pipes open, which must not matter.
func TestPipesHeldByOthers(t *testing.T) {
	cfg, _ := program(t, "escaper")
	p := startProgram(t, cfg)
	child := readPid(t, file(cfg))
	t.Cleanup(func() { kill(t, child, syscall.SIGKILL) })
	kill(t, p.Pid(), syscall.SIGKILL)
	awaitDone(t, p)
	if gone(child) {
		t.Error("the program did not escape: the test shows nothing")
	}
}
