package serve

import (
	"errors"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// turnTime is how long a driver's threads want to run at a time.
const turnTime = 300 * time.Microsecond

// shortTurns asks the kernel for short turns on a processor, see sched_setattr(2): Linux 6.12 and later let
// a thread that is woken begin, then, before whoever logs has used up a longer turn. Its share of the
// time stays the same. A message would wait for milliseconds otherwise where the thread that logs goes on
// computing, and the kernel puts the driver on the same processor.
func shortTurns() error {
	done := make(map[int]bool)
	for more := true; more; { // threads inherit it from the one that starts them
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		more = false
		for _, task := range tasks {
			tid, err := strconv.Atoi(task.Name())
			if err != nil || done[tid] {
				continue
			}
			if err := setTurn(tid); err != nil && !errors.Is(err, unix.ESRCH) {
				return err
			}
			done[tid], more = true, true
		}
	}
	return nil
}

func setTurn(tid int) error {
	attr, err := unix.SchedGetAttr(tid, 0)
	if err != nil {
		return os.NewSyscallError("sched_getattr", err)
	}
	if attr.Policy != unix.SCHED_NORMAL { // whoever has started the driver wants it so
		return nil
	}
	attr.Runtime = uint64(turnTime)
	return os.NewSyscallError("sched_setattr", unix.SchedSetAttr(tid, attr, 0))
}
