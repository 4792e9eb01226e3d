package serve

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// turnOfThread returns the length of turns of a new thread, in nanoseconds.
func turnOfThread(t *testing.T) uint64 {
	t.Helper()
	turn := make(chan uint64)
	go func() { // which ends with its thread
		runtime.LockOSThread()
		attr, err := unix.SchedGetAttr(0, 0)
		if err != nil {
			t.Error(err)
			attr = new(unix.SchedAttr)
		}
		turn <- attr.Runtime
	}()
	return <-turn
}

func TestShortTurns(t *testing.T) {
	usual := turnOfThread(t)
	if err := shortTurns(); err != nil {
		t.Fatal(err)
	}
	if usual == 0 {
		t.Skip("the kernel has turns of one length only: it is older than Linux 6.12")
	}
	for range 20 { // of old threads and new ones
		if got := turnOfThread(t); got != uint64(turnTime) {
			t.Fatalf("turns of %d ns, want %d", got, turnTime)
		}
	}
}
