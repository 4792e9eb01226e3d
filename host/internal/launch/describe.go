package launch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/logplug/logplug/shared/logdriver"
	"github.com/logplug/logplug/shared/wire"
)

const (
	maxDescribeBytes = 1 << 20
	maxOptions       = 1000
)

// Describe runs the driver's binary with the argument "describe" and returns
// what it says of itself. It needs neither SocketDir nor a handshake. A program
// that prints something else gets a *NotDriverError. Whether Description.Name is
// the expected one is for the caller to judge.
func Describe(ctx context.Context, cfg Config) (logdriver.Description, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return logdriver.Description{}, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, cfg.StartTimeout, errStartTimeout)
	defer cancel()
	r := &processRunner{ctx: ctx, cfg: cfg, out: newOutput(cfg.Logger)}
	defer r.out.close()
	return r.describe()
}

func (r *processRunner) describe() (logdriver.Description, error) {
	var none logdriver.Description
	stdout := &boundedBuffer{limit: maxDescribeBytes, full: make(chan struct{})}
	c, err := spawn(r.ctx, command{
		path: r.cfg.Path, args: append(r.cfg.Args[:len(r.cfg.Args):len(r.cfg.Args)], wire.DescribeCommand), env: r.cfg.Env,
		verify: r.cfg.Verify, scratch: r.cfg.SocketDir, box: r.box(),
		stdout: stdout, stderr: r.out.stderrLines(),
	})
	if err != nil {
		return none, r.describeError(err)
	}
	select {
	case <-c.done:
	case <-stdout.full:
	case <-r.ctx.Done():
	}
	ended := isClosed(c.done)
	if !ended {
		c.kill()
		await(c.done, killWait)
	}
	switch {
	case isClosed(stdout.full):
		return none, r.notDriver(fmt.Sprintf("run with the argument %q, it printed more than %d bytes", wire.DescribeCommand, maxDescribeBytes), nil)
	case !ended:
		return none, r.describeError(context.Cause(r.ctx))
	}
	if e := c.exitError(r.cfg.Name, &r.out.stderr); e.Code != 0 {
		return none, r.notDriver(fmt.Sprintf("run with the argument %q, it %s", wire.DescribeCommand, e.fate()), e)
	}
	d, err := parseDescription(stdout.bytes())
	if err != nil {
		return none, r.notDriver(fmt.Sprintf("run with the argument %q, it printed no valid description: %v", wire.DescribeCommand, err), err)
	}
	return d, nil
}

func (r *processRunner) describeError(err error) error {
	switch cause := context.Cause(r.ctx); {
	case errors.Is(cause, errStartTimeout):
		return r.notDriver(fmt.Sprintf("run with the argument %q, it did not end within %v", wire.DescribeCommand, r.cfg.StartTimeout), context.DeadlineExceeded)
	case cause != nil:
		return fmt.Errorf("describe driver %s: %w", r.cfg.Name, cause)
	case isNotExecutable(err):
		return r.notDriver("it cannot be executed: "+err.Error(), err)
	default:
		return fmt.Errorf("describe driver %s: %w", r.cfg.Name, err)
	}
}

func parseDescription(text []byte) (logdriver.Description, error) {
	var d logdriver.Description
	if err := json.Unmarshal(text, &d); err != nil {
		return d, err
	}
	switch {
	case !wire.ValidName(d.Name):
		return d, fmt.Errorf("the name %q does not consist of %s", d.Name, wire.NamePattern)
	case d.Protocol.Min < 1 || d.Protocol.Max < d.Protocol.Min:
		return d, fmt.Errorf("%d to %d is no range of protocol versions", d.Protocol.Min, d.Protocol.Max)
	case len(d.Options) > maxOptions:
		return d, fmt.Errorf("it has %d options, the limit is %d", len(d.Options), maxOptions)
	}
	seen := map[string]bool{}
	for _, o := range d.Options {
		if o.Name == "" || seen[o.Name] {
			return d, fmt.Errorf("the option %q has no name or is listed twice", o.Name)
		}
		seen[o.Name] = true
	}
	return d, nil
}

// boundedBuffer keeps up to limit bytes and closes full when there are more.
type boundedBuffer struct {
	limit int
	full  chan struct{}

	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer. It never fails.
func (b *boundedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	room := b.limit - b.buf.Len()
	b.buf.Write(p[:min(room, len(p))])
	if len(p) > room && !isClosed(b.full) {
		close(b.full)
	}
	return len(p), nil
}

// Close implements io.Closer.
func (b *boundedBuffer) Close() error { return nil }

func (b *boundedBuffer) bytes() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Clone(b.buf.Bytes())
}
