package launch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/logplug/logplug/shared/wire"
)

// attachPoll is how often an attached process is looked for.
const attachPoll = 500 * time.Millisecond

// Attach connects to a driver that runs already, for debugging. Stop and Kill
// leave it running.
func Attach(ctx context.Context, cfg AttachConfig) (*Process, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, cfg.StartTimeout, errStartTimeout)
	defer cancel()

	a := cfg.Attachment
	var refused refusal
	conn, err := dial(a.Network, a.Address, wire.PeerCredentials(refused.note(wire.CheckPID(a.PID))))
	if err != nil {
		return nil, fmt.Errorf("attach to driver %s: %w", cfg.Name, err)
	}
	if err := healthy(ctx, conn, nil, &refused); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("attach to driver %s (process %d, %s): %w; run it again in debug mode and use the variable that it prints",
			cfg.Name, a.PID, a.Address, err)
	}
	watchCtx, detach := context.WithCancel(context.Background())
	p := &Process{
		name: cfg.Name, pid: a.PID, protocol: a.Protocol, conn: conn,
		detach: detach, stopEnd: make(chan struct{}), done: make(chan struct{}),
	}
	cfg.Logger.Info("attached to a running driver", "pid", a.PID)
	go p.watchAttached(watchCtx)
	return p, nil
}

// watchAttached owns the connection until it is given up or the process ends.
func (p *Process) watchAttached(ctx context.Context) {
	defer p.detach()
	born, err := processIdentity(p.pid)
	tick := time.NewTicker(attachPoll)
	defer tick.Stop()
	for !isDead(err) {
		select {
		case <-ctx.Done():
			p.detached()
			return
		case <-tick.C:
		}
		var now string
		if now, err = processIdentity(p.pid); err == nil && now != born {
			break
		}
	}
	p.detached()
}

// isDead tells that processIdentity's error means that there is no such process.
func isDead(err error) bool {
	return errors.Is(err, os.ErrProcessDone) || errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH)
}

func (p *Process) detached() {
	_ = p.conn.Close()
	p.err = &ExitError{Name: p.name, PID: p.pid, Code: -1, Stopped: p.wasStopped(), Detached: true}
	close(p.done)
}
