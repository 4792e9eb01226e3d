package launch

import (
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// onThread runs f on one thread. With a sandbox that is made by changing the
// thread for good, the thread ends with f. The runtime never makes threads from
// one that a goroutine has locked, so that what f sets is passed on to
// the processes that f starts, and to nothing else in the host.
//
// It must be called in a goroutine of its own, as the last thing that this does.
func (b *box) onThread(f func()) {
	runtime.LockOSThread()
	if !b.NoNewPrivs && !b.confines() {
		defer runtime.UnlockOSThread()
		f()
		return
	}
	if unix.Gettid() != unix.Getpid() {
		f()
		return // still locked
	}
	// The main thread stands for the whole process, and never ends. While it is
	// held here, another goroutine cannot get it.
	defer runtime.UnlockOSThread()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		f()
	}()
	<-done
}

// enter confines the calling thread, and with it the process that it starts next.
func (b *box) enter() error {
	if b.NoNewPrivs {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			if err := b.gap("no_new_privs", err); err != nil {
				return err
			}
		}
	}
	if b.confines() {
		return b.landlock()
	}
	return nil
}

// prepare makes cmd start in the sandbox. traced has the kernel stop the process
// before its first instruction, see admit.
func (b *box) prepare(cmd *exec.Cmd, traced bool) {
	prepare(cmd)
	cmd.Dir = b.Dir
	cmd.SysProcAttr.Credential = b.User.credential()
	cmd.SysProcAttr.Ptrace = traced
	if b.cgroup != nil {
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(b.cgroup.dir.Fd())
	}
}

// needsStop tells whether there is something to set on the process itself.
func (b *box) needsStop() bool { return len(b.limits()) > 0 }

// admit sets the limits of a process and lets it go on. Rlimits belong
// to processes and not to threads, and what could be set between fork and
// execution is what the runtime provides for, which they are not; hence the
// stop. It must be called on the thread that started the process.
func (b *box) admit(pid int, traced bool) error {
	if !traced {
		return b.setLimits(pid)
	}
	stopped, err := awaitStop(pid)
	if err != nil || !stopped {
		return err // it was killed: the owner sees that it is gone
	}
	if err := b.setLimits(pid); err != nil {
		return err
	}
	if err := unix.PtraceDetach(pid); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("let the process go on: %w", err)
	}
	return nil
}

func (b *box) setLimits(pid int) error {
	for _, l := range b.limits() {
		if err := setRlimit(pid, l); err != nil && !errors.Is(err, unix.ESRCH) {
			if err := b.gap("limit of "+l.String(), err); err != nil {
				return err
			}
		}
	}
	return nil
}

// cpuGrace is how many seconds lie between SIGXCPU, which a process may handle,
// and SIGKILL.
const cpuGrace = 2

func setRlimit(pid int, l Rlimit) error {
	resource := map[Resource]int{
		AddressSpace: unix.RLIMIT_AS, Data: unix.RLIMIT_DATA, OpenFiles: unix.RLIMIT_NOFILE, Processes: unix.RLIMIT_NPROC,
		CPU: unix.RLIMIT_CPU, Core: unix.RLIMIT_CORE, FileSize: unix.RLIMIT_FSIZE,
	}[l.Resource]
	lim := unix.Rlimit{Cur: l.Limit, Max: l.Limit}
	if l.Resource == CPU {
		lim.Max += cpuGrace
	}
	return unix.Prlimit(pid, resource, &lim, nil)
}

// awaitStop waits for the stop of a traced process that executes its program, and
// reports false if the process ended instead. That is left to be reaped.
func awaitStop(pid int) (bool, error) {
	for {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_PID, pid, &info, unix.WSTOPPED|unix.WEXITED|unix.WNOWAIT, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return false, fmt.Errorf("wait for the process to be executed: %w", err)
		default:
			return info.Code == cldTrapped || info.Code == cldStopped, nil
		}
	}
}

// Values of si_code for SIGCHLD, see sigaction(2).
const (
	cldTrapped = 4
	cldStopped = 5
)

func (u *User) credential() *syscall.Credential {
	if u == nil {
		return nil
	}
	return &syscall.Credential{Uid: u.UID, Gid: u.GID, Groups: u.Groups}
}
