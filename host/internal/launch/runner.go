package launch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin/runner"

	"github.com/logplug/logplug/shared/wire"
)

// killWait is how long a killed process may take to be gone. Only one that
// hangs in the kernel takes longer.
const killWait = 5 * time.Second

// processRunner starts one process for go-plugin. go-plugin sees the handshake
// line, once it was checked, and nothing else of what the process prints.
type processRunner struct {
	ctx context.Context // bounds the start; go-plugin knows only its own timeout
	cfg Config
	dir string // the process's own, removed with it
	// sockets is where the process creates its socket: dir, or a directory inside.
	sockets string
	mtls    bool
	out     *output
	socket  *writeSocket // nil where there is none

	child *child
	hs    handshake
}

// prepare is go-plugin's RunnerFunc. cmd carries the handshake's variables.
func (r *processRunner) prepare(_ hclog.Logger, cmd *exec.Cmd, _ string) (runner.Runner, error) {
	// go-plugin made a directory with a long name inside ours.
	own := slices.DeleteFunc(cmd.Env, func(v string) bool { return strings.HasPrefix(v, wire.EnvSocketDir+"=") })
	r.cfg.Env = slices.Concat(r.cfg.Env, own, []string{wire.EnvSocketDir + "=" + r.sockets})
	return r, nil
}

// Start returns once the process has printed a valid handshake line.
func (r *processRunner) Start(context.Context) error {
	type outcome struct {
		hs  handshake
		err error
	}
	found := make(chan outcome, 1)
	scanner := newHandshakeScanner(r.mtls, r.out.stdoutLines(), func(hs handshake, err error) {
		found <- outcome{hs, err}
	})
	socket, theirs := offerWriteSocket(r.cfg.Logger)
	r.socket = socket
	c, err := spawn(r.ctx, command{
		path: r.cfg.Path, args: r.cfg.Args, env: slices.Concat(r.cfg.Env, socket.env()), lifeline: true, inherit: theirs,
		verify: r.cfg.Verify, scratch: r.cfg.SocketDir, box: r.box(),
		stdout: scanner, stderr: r.out.stderrLines(),
	})
	if err != nil {
		return r.spawnError(err)
	}
	r.child = c
	if err := writeRecord(r.dir, c.cmd.Process.Pid); err != nil {
		r.cfg.Logger.Debug("cannot note the driver's process", "error", err)
	}
	select {
	case o := <-found:
		return r.accept(o.hs, o.err)
	case <-c.exited:
	case <-r.ctx.Done():
		return r.silent()
	}
	await(c.done, killWait) // what it printed last is still on its way
	select {
	case o := <-found:
		return r.accept(o.hs, o.err)
	default:
		e := c.exitError(r.cfg.Name, &r.out.stderr)
		return r.notDriver("it "+e.fate()+" before it printed a handshake line", e)
	}
}

func (r *processRunner) box() *box {
	return &box{Sandbox: r.cfg.Sandbox, log: r.cfg.Logger, socketDir: r.sockets}
}

func (r *processRunner) accept(hs handshake, err error) error {
	if err != nil {
		return r.notDriver(err.Error(), err)
	}
	if hs.protocol < wire.MinProtocol || hs.protocol > wire.MaxProtocol {
		return &VersionError{Driver: r.cfg.Name, DriverRange: single(hs.protocol), HostRange: hostRange()}
	}
	r.hs = hs
	return nil
}

func (r *processRunner) spawnError(err error) error {
	if r.ctx.Err() != nil {
		return r.silent()
	}
	if isNotExecutable(err) {
		return r.notDriver("it cannot be executed: "+err.Error(), err)
	}
	if u := r.cfg.Sandbox.User; u != nil && errors.Is(err, fs.ErrPermission) {
		err = fmt.Errorf("%w; user %s must be able to execute it, and to search its directory and %s", err, u.Name, r.cfg.SocketDir)
	}
	return fmt.Errorf("start driver %s: %w", r.cfg.Name, err)
}

// silent reports that the time was up.
func (r *processRunner) silent() error {
	cause := context.Cause(r.ctx)
	if !errors.Is(cause, errStartTimeout) {
		return fmt.Errorf("start driver %s: %w", r.cfg.Name, cause)
	}
	return r.notDriver(fmt.Sprintf("it printed no handshake line within %v", r.cfg.StartTimeout), context.DeadlineExceeded)
}

func (r *processRunner) notDriver(reason string, err error) error {
	return &NotDriverError{
		Name: r.cfg.Name, Path: r.cfg.Path, Reason: reason, Err: err,
		Stdout: r.out.stdout.last(), Stderr: r.out.stderr.last(),
	}
}

// Stdout gives go-plugin the handshake line.
func (r *processRunner) Stdout() io.ReadCloser {
	return io.NopCloser(strings.NewReader(r.hs.line()))
}

// Stderr is empty: the driver's log is not go-plugin's to decode.
func (r *processRunner) Stderr() io.ReadCloser { return io.NopCloser(strings.NewReader("")) }

// Wait returns when the process has ended and its pipes are dealt with.
func (r *processRunner) Wait(ctx context.Context) error {
	select {
	case <-r.child.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Kill ends the process. It waits for a bounded time.
func (r *processRunner) Kill(context.Context) error {
	r.child.kill()
	await(r.child.done, killWait)
	return nil
}

func (r *processRunner) Name() string                    { return r.cfg.Name }
func (r *processRunner) Diagnose(context.Context) string { return "" }
func (r *processRunner) ID() string                      { return strconv.Itoa(r.child.cmd.Process.Pid) }

func (r *processRunner) PluginToHost(network, addr string) (string, string, error) {
	return network, addr, nil
}

func (r *processRunner) HostToPlugin(network, addr string) (string, string, error) {
	return network, addr, nil
}
