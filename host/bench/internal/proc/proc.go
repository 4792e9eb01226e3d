// Package proc reads what processes of this machine have used.
package proc

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Self stands for the calling process.
const Self = 0

// CPU returns the time that all threads of a process, living and ended, have
// spent on processors, in nanoseconds' resolution.
func CPU(pid int) (time.Duration, error) {
	// The kernel's encoding of a process's CPU clock, see clock_getcpuclockid(3).
	const cpuClockSched = 2
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|cpuClockSched), &ts); err != nil {
		return 0, fmt.Errorf("CPU clock of process %d: %w", pid, err)
	}
	return time.Duration(ts.Nano()), nil
}

// Monotonic returns the system's monotonic clock in nanoseconds, which is the
// same in all processes.
func Monotonic() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic(err) // Linux always has it
	}
	return ts.Nano()
}

// ExactTimers makes the kernel wake the calling thread at the time that it asks for, and not up to 50
// microseconds later together with others.
func ExactTimers() error {
	return os.NewSyscallError("prctl", unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0))
}

// SleepUntil blocks the calling thread until the monotonic clock shows t. It is
// exact to tens of microseconds, which timers of an idle Go process are not. Go's scheduler is
// not told of it: else its monitor thread would look after a call that takes so long, at the very times
// at which this one wakes.
func SleepUntil(t int64) {
	ts := unix.NsecToTimespec(t)
	errno := unix.EINTR
	for errno == unix.EINTR {
		_, _, errno = unix.RawSyscall6(unix.SYS_CLOCK_NANOSLEEP, unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, uintptr(unsafe.Pointer(&ts)), 0, 0, 0)
	}
}

// Find returns the processes that have a text among their arguments.
func Find(text string) (pids []int, err error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		// A process may have ended meanwhile.
		args, _ := os.ReadFile("/proc/" + e.Name() + "/cmdline")
		if strings.Contains(string(args), text) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// Memory returns a process's proportional set size in bytes: pages that
// processes share are divided among them.
func Memory(pid int) (int64, error) {
	name := "self"
	if pid != Self {
		name = strconv.Itoa(pid)
	}
	f, err := os.Open("/proc/" + name + "/smaps_rollup")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if text, ok := strings.CutPrefix(s.Text(), "Pss:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(text), " kB"), 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("%s: no Pss", f.Name())
}

// Meter measures the CPU time of several processes together.
type Meter struct {
	pids []int
	from time.Duration
}

// NewMeter starts to measure.
func NewMeter(pids ...int) (*Meter, error) { return NewMeterOf(append(pids, Self)...) }

// NewMeterOf is NewMeter without this process.
func NewMeterOf(pids ...int) (*Meter, error) {
	m := &Meter{pids: pids}
	from, err := m.total()
	m.from = from
	return m, err
}

// Used returns the CPU time since NewMeter.
func (m *Meter) Used() (time.Duration, error) {
	now, err := m.total()
	return now - m.from, err
}

func (m *Meter) total() (sum time.Duration, err error) {
	for _, pid := range m.pids {
		used, err := CPU(pid)
		if err != nil {
			return 0, err
		}
		sum += used
	}
	return sum, nil
}
