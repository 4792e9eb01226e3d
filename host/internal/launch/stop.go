package launch

import (
	"context"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

// shutdownMethod asks a driver to exit. Its messages are empty.
const shutdownMethod = "/plugin.GRPCController/Shutdown"

// termGrace is how long a driver may take to end after the signal that asks it to.
const termGrace = 500 * time.Millisecond

// Stop ends the driver: it is asked to shut down and has until ctx ends to
// do so, then it is sent SIGTERM, and soon after that its group is
// killed. It returns when Done is closed, a few seconds after the end of ctx at
// the latest, with an error if the driver did not go by itself. A second call
// waits for the first, and kills if its own ctx ends before.
//
// A driver that was attached to is only disconnected from.
func (p *Process) Stop(ctx context.Context) error {
	first := false
	p.stopOnce.Do(func() { first = true })
	if !first {
		select {
		case <-p.stopEnd:
			return p.stopErr
		case <-ctx.Done():
			p.Kill()
			return fmt.Errorf("stop driver %s: %w; it was killed", p.name, context.Cause(ctx))
		}
	}
	defer close(p.stopEnd)
	p.stopErr = p.stop(ctx)
	return p.stopErr
}

func (p *Process) stop(ctx context.Context) error {
	if isClosed(p.done) {
		return nil
	}
	p.markStopped()
	if p.child == nil {
		p.Kill()
		return nil
	}
	if p.shutdown(ctx) {
		return nil
	}
	p.child.terminate()
	if await(p.done, termGrace) {
		return fmt.Errorf("stop driver %s: it did not shut down when asked, and was sent SIGTERM", p.name)
	}
	p.Kill()
	if !isClosed(p.done) {
		return fmt.Errorf("stop driver %s: process %d does not end, although it was killed", p.name, p.pid)
	}
	return fmt.Errorf("stop driver %s: it neither shut down nor heeded SIGTERM, and was killed", p.name)
}

// shutdown asks the driver to exit and tells whether it did before ctx ended.
func (p *Process) shutdown(ctx context.Context) bool {
	ctx, cancel := context.WithCancel(ctx)
	var asking sync.WaitGroup
	defer asking.Wait()
	defer cancel()
	refused := make(chan struct{})
	asking.Go(func() {
		err := p.conn.Invoke(ctx, shutdownMethod, &emptypb.Empty{}, &emptypb.Empty{})
		// Other errors tell nothing: a server that shuts down may cut its answer.
		if c := status.Code(err); c == codes.Unimplemented || c == codes.PermissionDenied {
			close(refused)
		}
	})
	select {
	case <-p.done:
		return true
	case <-refused:
	case <-ctx.Done():
	}
	return false
}

// Kill ends the driver and its group at once. It waits until Done is closed,
// for a few seconds at most. It may be called more than once.
//
// A driver that was attached to is only disconnected from.
func (p *Process) Kill() {
	p.markStopped()
	if p.child == nil {
		p.detach()
	} else {
		p.child.kill()
	}
	await(p.done, killWait)
}
