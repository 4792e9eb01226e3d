package host_test

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestDriversHaveShortTurns: all threads of a driver run for less at a time than others do.
func TestDriversHaveShortTurns(t *testing.T) {
	usual, err := unix.SchedGetAttr(0, 0)
	switch {
	case err != nil:
		t.Skip("the kernel does not tell how threads are scheduled: ", err)
	case usual.Policy != unix.SCHED_NORMAL || usual.Flags&unix.SCHED_FLAG_RESET_ON_FORK != 0:
		t.Skip("the tests have been started with a scheduling policy")
	case usual.Runtime == 0:
		t.Skip("the kernel has turns of one length only: it is older than Linux 6.12")
	}
	h := newHost(t, nil)
	info, _ := sinkInfo(t, nil)
	l := open(t, h, "sink", info)
	for i := range 1000 {
		logLine(t, l, "line %d", i)
	}
	if err := l.Flush(testContext(t)); err != nil {
		t.Fatal(err)
	}
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", h.Stats().Drivers[0].Pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		tid, err := strconv.Atoi(task.Name())
		if err != nil {
			t.Fatal(err)
		}
		attr, err := unix.SchedGetAttr(tid, 0)
		if errors.Is(err, unix.ESRCH) { // it has ended meanwhile
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if turn := time.Duration(attr.Runtime); turn != 300*time.Microsecond || turn >= time.Duration(usual.Runtime) {
			t.Errorf("thread %d of %d has turns of %v; the usual ones are of %v", tid, len(tasks), turn, time.Duration(usual.Runtime))
		}
	}
}
