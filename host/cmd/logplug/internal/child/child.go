package child

import (
	"os"
	"os/exec"
	"runtime"
)

// Config says what to run.
type Config struct {
	// Path is the program's file, see Lookup.
	Path string
	// Args is the command line, the program's name first.
	Args []string
	// Env is the environment.
	Env []string
	// Stdin is the command's standard input, not a copy of it.
	Stdin *os.File
	// OwnGroup puts the command in a process group of its own, see Terminal.
	OwnGroup bool
}

// Child is a command that was started.
type Child struct {
	// Stdout and Stderr are what it writes. They are read until they end, which is
	// when all processes that inherited them are gone, and closed by Close.
	Stdout, Stderr *os.File

	cmd  *exec.Cmd
	done chan struct{}
}

// Start starts a command. It fails with a *StartError if the program cannot be
// executed. Wait and Close are the caller's to call.
//
// On Linux the command gets SIGTERM when this process dies, so that it does not
// live on with nobody to take its output.
func Start(cfg Config) (*Child, error) {
	stdout, stdoutEnd, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	stderr, stderrEnd, err := os.Pipe()
	if err != nil {
		stdout.Close()
		stdoutEnd.Close()
		return nil, err
	}
	c := &Child{Stdout: stdout, Stderr: stderr, done: make(chan struct{})}
	c.cmd = &exec.Cmd{
		Path: cfg.Path, Args: cfg.Args, Env: cfg.Env,
		Stdin: cfg.Stdin, Stdout: stdoutEnd, Stderr: stderrEnd,
		SysProcAttr: attributes(cfg.OwnGroup),
	}
	err = c.start()
	stdoutEnd.Close()
	stderrEnd.Close()
	if err != nil {
		c.Close()
		return nil, startError(cfg.Args[0], err)
	}
	return c, nil
}

// start starts the command in a goroutine that waits for it too. The signal on
// the death of the parent is really one on the death of the thread that
// started the process: it must live as long.
func (c *Child) start() error {
	started := make(chan error, 1)
	go func() {
		defer close(c.done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := c.cmd.Start()
		started <- err
		if err == nil {
			_ = c.cmd.Wait() // ProcessState tells more than the error
		}
	}()
	return <-started
}

// PID returns the number of the command's process.
func (c *Child) PID() int { return c.cmd.Process.Pid }

// Done is closed when the command has exited.
func (c *Child) Done() <-chan struct{} { return c.done }

// Code returns the command's exit code as shells tell it: 128 and the signal's
// number if one ended it. It is for after Done.
func (c *Child) Code() int { return exitCode(c.cmd.ProcessState) }

// Signal sends a signal to the command, and to it alone. A command that has exited
// is no error.
func (c *Child) Signal(sig os.Signal) { _ = c.cmd.Process.Signal(sig) }

// Close closes Stdout and Stderr.
func (c *Child) Close() {
	c.Stdout.Close()
	c.Stderr.Close()
}
