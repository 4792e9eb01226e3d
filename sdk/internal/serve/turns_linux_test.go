package serve

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// attrOfThread returns how a thread is scheduled that ends afterwards.
func attrOfThread() (attr *unix.SchedAttr, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		attr, err = unix.SchedGetAttr(0, 0)
	}()
	<-done
	return attr, err
}

func TestShortTurns(t *testing.T) {
	switch usual, err := attrOfThread(); {
	case err != nil:
		t.Skip("the kernel does not tell how threads are scheduled: ", err)
	case usual.Policy != unix.SCHED_NORMAL || usual.Flags&unix.SCHED_FLAG_RESET_ON_FORK != 0:
		t.Skip("the tests have been started with a scheduling policy")
	case usual.Runtime == 0:
		t.Skip("the kernel has turns of one length only: it is older than Linux 6.12")
	}
	if err := shortTurns(); err != nil {
		t.Fatal(err)
	}
	for range 20 { // of old threads and new ones
		attr, err := attrOfThread()
		if err != nil {
			t.Fatal(err)
		}
		if attr.Runtime != uint64(turnTime) {
			t.Fatalf("turns of %d ns, want %d", attr.Runtime, turnTime)
		}
	}
}
