package engine

import (
	"context"
	"os/exec"
	"time"
)

// callTimeout bounds one call of a client, which may be for a hundred containers: an engine
// that hangs fails the test that met it, and not all that would come after.
const callTimeout = 2 * time.Minute

// bounded is Command for a client.
func bounded(ctx context.Context, path string, args ...string) *exec.Cmd {
	return Command(ctx, callTimeout, path, args...)
}

// Command is exec.Command, killed when limit or ctx is over.
func Command(ctx context.Context, limit time.Duration, path string, args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(ctx, limit)
	context.AfterFunc(ctx, cancel)
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.WaitDelay = time.Second // for pipes that its own children hold
	return cmd
}
