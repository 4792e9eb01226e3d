package launch

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

const (
	// pipeGrace is how long what a dead process printed is still read: somebody
	// else may hold its pipes and never close them.
	pipeGrace = time.Second
	// sinkGrace is how long a sink may take over what it got, once the
	// pipes are closed.
	sinkGrace = 2 * time.Second
	// busyRetries and busyDelay are for a binary that was written a moment ago:
	// a process that was forked meanwhile may still hold it open for writing.
	busyRetries = 5
	busyDelay   = 20 * time.Millisecond
)

// inheritedFD is the number that the first of command.inherit gets, behind imageFD.
const inheritedFD = 4

// command says what to execute.
type command struct {
	path string
	args []string
	env  []string
	// verify, if not nil, judges the SHA-256 of what is going to be executed.
	verify func([sha256.Size]byte) error
	// scratch is a private directory for a verified copy; empty for the system's.
	scratch string
	// box confines the process.
	box *box
	// lifeline gives the process a stdin that ends when the host ends; without
	// it, stdin is empty.
	lifeline bool
	// inherit is what the process gets from inheritedFD on. spawn closes it.
	inherit []*os.File
	// stdout and stderr get what the process prints. They are closed at its end.
	stdout, stderr io.WriteCloser
}

// child is a process in a group of its own, with its pipes.
//
// One goroutine owns it, and has another start the process and wait for
// it on a thread that stays: together they end what is left of its group,
// and close the pipes even if another process holds them.
type child struct {
	command  command
	cmd      *exec.Cmd
	image    *image     // what is executed
	oom      bool       // the process exceeded its cgroup's memory; valid when exited is closed
	own      []*os.File // the process's ends of the pipes
	lifeline *os.File   // may be nil
	outputs  []*os.File // the host's ends of stdout and stderr
	sinks    []io.WriteCloser

	started  chan struct{} // closed after the start, failed or not
	startErr error
	exited   chan struct{} // closed when the process has been reaped
	done     chan struct{} // closed when the pipes are dealt with too

	mu      sync.Mutex
	running bool // the process exists and has not been reaped
	killed  bool
}

// spawn starts a process. When ctx ends before that is done, as with a file on a
// network that is gone, the process is killed should it ever start.
func spawn(ctx context.Context, c command) (*child, error) {
	p := &child{
		command: c,
		cmd:     &exec.Cmd{},
		sinks:   []io.WriteCloser{c.stdout, c.stderr},
		started: make(chan struct{}),
		exited:  make(chan struct{}),
		done:    make(chan struct{}),
	}
	if p.command.box == nil {
		p.command.box = &box{}
	}
	p.own = append(p.own, c.inherit...)
	if err := p.pipes(c.lifeline); err != nil {
		p.closeAll()
		return nil, err
	}
	go p.run()
	select {
	case <-p.started:
		return p, p.startErr
	case <-ctx.Done():
		p.kill()
		return nil, context.Cause(ctx)
	}
}

func (p *child) pipes(lifeline bool) error {
	if lifeline {
		r, w, err := os.Pipe()
		if err != nil {
			return err
		}
		p.own, p.lifeline, p.cmd.Stdin = append(p.own, r), w, r
	}
	for _, stream := range []*io.Writer{&p.cmd.Stdout, &p.cmd.Stderr} {
		r, w, err := os.Pipe()
		if err != nil {
			return err
		}
		p.own, p.outputs, *stream = append(p.own, w), append(p.outputs, r), w
	}
	return nil
}

// run owns the process. What changes files is done here, and not on the thread
// of live, which may be confined as the process is.
func (p *child) run() {
	err := p.setUp()
	if err == nil {
		lived := make(chan struct{})
		go func() {
			defer close(lived)
			p.command.box.onThread(p.live)
		}()
		<-lived
	} else {
		p.failed(err)
	}
	p.tearDown()
	close(p.done)
}

func (p *child) setUp() (err error) {
	c := &p.command
	if p.image, err = openImage(c.path, c.scratch, c.verify); err != nil {
		return err
	}
	return c.box.makeCgroup()
}

func (p *child) tearDown() {
	p.command.box.cgroup.kill()
	p.command.box.cgroup.close()
	p.image.closeFile()
	p.image.remove()
}

// live starts the process and stays until its end. The kernel's promise to kill
// the process with its parent (see prepare) is about the thread that forked it:
// the caller keeps that thread.
func (p *child) live() {
	err := p.command.box.enter()
	if err == nil {
		err = p.start()
	}
	closeFiles(p.own)
	if err != nil {
		p.failed(err)
		return
	}
	close(p.started)
	read := p.read()
	p.reap()
	p.oom = p.command.box.cgroup.oomKilled()
	close(p.exited)

	await(read, pipeGrace)
	closeFiles(p.outputs)
	await(read, sinkGrace)
	p.letGo()
}

// failed reports that there is no process.
func (p *child) failed(err error) {
	p.closeAll()
	p.startErr = err
	close(p.started)
	close(p.exited)
}

// newCmd returns a command to start: exec.Cmd cannot be started twice.
func (p *child) newCmd(traced bool) *exec.Cmd {
	c := &exec.Cmd{
		Path: p.image.path, Args: append([]string{p.command.path}, p.command.args...), Env: p.command.env,
		Stdin: p.cmd.Stdin, Stdout: p.cmd.Stdout, Stderr: p.cmd.Stderr,
	}
	if c.Env == nil {
		c.Env = []string{} // nil would mean the host's environment
	}
	if p.image.file != nil || len(p.command.inherit) > 0 {
		c.ExtraFiles = append([]*os.File{p.image.file}, p.command.inherit...) // become imageFD, inheritedFD and so on
	}
	p.command.box.prepare(c, traced)
	return c
}

func (p *child) start() error {
	b := p.command.box
	traced := b.needsStop()
	for try := 0; ; try++ {
		p.cmd = p.newCmd(traced)
		err := p.cmd.Start()
		switch {
		case err == nil:
			return p.admit(traced)
		case traced && errors.Is(err, syscall.EPERM): // tracing is forbidden
			traced = false
			err = b.gap("limits of resources from the process's first instruction on", err)
			if err != nil {
				return err
			}
		case errors.Is(err, syscall.ETXTBSY) && try < busyRetries:
			time.Sleep(busyDelay << try)
		default:
			return err
		}
	}
}

// admit takes note of the new process, and lets it run within its limits.
func (p *child) admit(traced bool) error {
	p.mu.Lock()
	p.running = true
	if p.killed {
		killGroup(p.cmd.Process)
	}
	p.mu.Unlock()
	err := p.command.box.admit(p.cmd.Process.Pid, traced)
	if err != nil {
		p.kill()
		p.reap()
	}
	return err
}

// read copies the outputs to their sinks. The channel is closed at their ends.
func (p *child) read() <-chan struct{} {
	var wg sync.WaitGroup
	for i, f := range p.outputs {
		wg.Go(func() {
			// An error means that the pipe was closed from this side.
			_, _ = io.Copy(struct{ io.Writer }{p.sinks[i]}, struct{ io.Reader }{f})
			_ = p.sinks[i].Close()
		})
	}
	read := make(chan struct{})
	go func() { wg.Wait(); close(read) }()
	return read
}

// reap waits for the process and ends what is left of its group. Where the
// system can wait without reaping, the group is ended while the dead
// process still keeps its number from being used again.
func (p *child) reap() {
	kept := awaitExit(p.cmd.Process.Pid)
	if !kept {
		_ = p.cmd.Wait() // the outcome is in ProcessState
	}
	p.mu.Lock()
	p.running = false
	killGroup(p.cmd.Process)
	p.mu.Unlock()
	if kept {
		_ = p.cmd.Wait()
	}
}

// kill ends the process and its group. It does not wait.
func (p *child) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.killed = true
	if p.running {
		killGroup(p.cmd.Process)
	}
}

// terminate asks the process and its group to end.
func (p *child) terminate() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running {
		terminateGroup(p.cmd.Process)
	}
	if p.lifeline != nil {
		_ = p.lifeline.Close()
	}
}

func (p *child) letGo() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lifeline != nil {
		_ = p.lifeline.Close()
	}
}

func (p *child) closeAll() {
	closeFiles(p.own)
	closeFiles(p.outputs)
	p.letGo()
}

// exitError says how the process ended, whose stderr is given. It may be called
// after exited is closed.
func (p *child) exitError(name string, stderr *tail) *ExitError {
	e := &ExitError{Name: name, Code: -1, Stderr: stderr.last()}
	if s := p.cmd.ProcessState; s != nil {
		e.PID, e.Code, e.Signal = s.Pid(), s.ExitCode(), exitSignal(s)
		e.Limit = p.command.box.struck(p.oom, s, e.Signal, stderr.recentlyTelling())
	}
	return e
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}

// await tells whether done was closed within limit.
func await(done <-chan struct{}, limit time.Duration) bool {
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-done:
		return true
	case <-t.C:
		return false
	}
}
