package receiver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

const (
	readyTimeout = time.Minute
	stopTimeout  = time.Minute
	pollInterval = 5 * time.Millisecond
	// maxOutput bounds what is kept of what a program prints.
	maxOutput = 64 << 10
)

// Command says how a program is run.
type Command struct {
	// Path and Args are the program and its arguments, without its name.
	Path string
	Args []string
	// Dir is its working directory, and Env its environment beside PATH.
	Dir string
	Env []string
	// Ready returns nil once the program takes messages. It is called
	// repeatedly after each start, with a context that ends a call that
	// never gets an answer.
	Ready func(context.Context) error
}

// Process is a running receiver. It may be killed and started again, with the
// same command and data. Its methods must not be called concurrently.
type Process struct {
	command Command
	cmd     *exec.Cmd
	exited  chan struct{}
	out     *tail
}

// Start runs a receiver and waits until it is ready.
func Start(ctx context.Context, c Command) (*Process, error) {
	p := &Process{command: c, out: &tail{}}
	return p, p.Start(ctx)
}

// Start runs a receiver again that Kill or Stop has ended.
func (p *Process) Start(ctx context.Context) error {
	cmd := exec.Command(p.command.Path, p.command.Args...)
	cmd.Dir, cmd.Env = p.command.Dir, append([]string{"PATH=" + os.Getenv("PATH")}, p.command.Env...)
	cmd.Stdout, cmd.Stderr = p.out, p.out
	cmd.SysProcAttr = childAttributes()
	cmd.WaitDelay = time.Second // for pipes that its own children hold
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start receiver: %w", err)
	}
	exited := make(chan struct{})
	go func() { _ = cmd.Wait(); close(exited) }()
	p.cmd, p.exited = cmd, exited
	if err := p.awaitReady(ctx); err != nil {
		p.Kill()
		return fmt.Errorf("start receiver %s: %w; it printed: %s", p.command.Path, err, p.Output())
	}
	return nil
}

func (p *Process) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	for {
		err := p.command.Ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.exited:
			return fmt.Errorf("it ended: %s", p.cmd.ProcessState)
		case <-ctx.Done():
			return fmt.Errorf("not ready: %w", err)
		case <-poll.C:
		}
	}
}

// Pid returns the process's number.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Kill ends the process at once, if it runs, and waits for its end.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.exited
}

// Stop asks the process to end, and kills it if it does not.
func (p *Process) Stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.Kill()
		return fmt.Errorf("stop receiver %s: %w", p.command.Path, err)
	}
	timer := time.NewTimer(stopTimeout)
	defer timer.Stop()
	select {
	case <-p.exited:
		return nil
	case <-timer.C:
		p.Kill()
		return fmt.Errorf("stop receiver %s: it did not end within %s and was killed", p.command.Path, stopTimeout)
	}
}

// Output returns the last 64 KiB of what the process printed.
func (p *Process) Output() string { return p.out.String() }

// tail keeps the end of what is written to it.
type tail struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf.Write(p)
	if extra := t.buf.Len() - maxOutput; extra > 0 {
		t.buf.Next(extra)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf.String()
}
