package launch

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"google.golang.org/grpc"

	"github.com/logplug/logplug/shared/wire"
)

// Process is a driver that runs and is connected. Its methods may be called from
// several goroutines.
type Process struct {
	name     string
	pid      int
	protocol int
	conn     *grpc.ClientConn
	dir      string  // removed at the end
	out      *output // nil if attached
	child    *child  // nil if attached
	sandbox  Sandbox
	socket   *writeSocket // nil if the driver does not use one

	detach context.CancelFunc // ends watchAttached

	mu      sync.Mutex
	stopped bool // the host wants the end

	stopOnce sync.Once
	stopEnd  chan struct{} // closed when the first Stop has finished
	stopErr  error

	done chan struct{}
	err  *ExitError // set before done is closed
}

func newProcess(r *processRunner, conn *grpc.ClientConn) *Process {
	return &Process{
		name: r.cfg.Name, pid: r.child.cmd.Process.Pid, protocol: r.hs.protocol,
		conn: conn, dir: r.dir, out: r.out, child: r.child, sandbox: r.cfg.Sandbox, socket: r.socket.taken(),
		stopEnd: make(chan struct{}), done: make(chan struct{}),
	}
}

// Conn returns the connection to the driver. It belongs to the Process, which
// closes it when Done is closed. Messages are limited to wire.MaxMessageBytes.
func (p *Process) Conn() *grpc.ClientConn { return p.conn }

// WriteSocket returns the socket for the messages of the Write stream, or nil if the
// driver does not use one. It belongs to the Process, which closes it when Done is
// closed; whoever has an end to the stream may close it earlier.
func (p *Process) WriteSocket() wire.SocketConn {
	if p.socket == nil {
		return nil
	}
	return p.socket.conn
}

// WriteMemory returns the memory for messages of the write socket, or nil if the driver does
// not use one. It belongs to the Process as the socket does.
func (p *Process) WriteMemory() *wire.WriteMemory {
	if p.socket == nil {
		return nil
	}
	return p.socket.memory
}

// Pid returns the number of the driver's process.
func (p *Process) Pid() int { return p.pid }

// Protocol returns the version of the protocol that was negotiated.
func (p *Process) Protocol() int { return p.protocol }

// CanWrite tells whether the process's sandbox lets it write to path, as far as the
// host knows.
func (p *Process) CanWrite(path string) bool {
	return !p.sandbox.ConfineWrites || slices.ContainsFunc(p.sandbox.WritePaths, func(allowed string) bool {
		rel, err := filepath.Rel(allowed, path)
		return err == nil && filepath.IsLocal(rel)
	})
}

// Done returns a channel that is closed when the process has ended, what it
// printed has been logged, and its connection and sockets are gone.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err returns nil until Done is closed, and an *ExitError afterwards, also for a
// process that ended as it was asked to.
func (p *Process) Err() error {
	select {
	case <-p.done:
		return p.err
	default:
		return nil
	}
}

// watch owns the process until its end.
func (p *Process) watch() {
	stdio := readStdio(p.conn, p.out)
	<-p.child.done
	_ = p.conn.Close()
	await(stdio, sinkGrace)
	p.out.close()
	_ = os.RemoveAll(p.dir)

	e := p.child.exitError(p.name, &p.out.stderr)
	e.Stopped = p.wasStopped()
	p.err = e
	close(p.done)
	p.socket.close()
}

func (p *Process) markStopped() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
}

func (p *Process) wasStopped() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stopped
}
