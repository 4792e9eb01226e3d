//go:build linux

package relay

import (
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/logplug/logplug/host/cmd/logplug/internal/handover"
	"golang.org/x/sys/unix"
)

// The container's pipes, and the one that tells containerd that logging is ready.
const (
	FDStdout = 3
	FDStderr = 4
	FDReady  = 5
)

const (
	// EnvCarry names, for the logplug that takes over, the descriptor of the file with
	// what serve has read and not logged.
	EnvCarry = "LOGPLUG_CARRY_FD"
	// defaultTakeover is for how long a container may wait for serve to come back.
	defaultTakeover = time.Minute
	// endedTakeover is the same for a container that has ended: the shim kills the relay
	// 12 s after that.
	endedTakeover = 2 * time.Second
	// retry is how often is looked for serve.
	retry = 100 * time.Millisecond
	// refusedRetry is how often a serve is asked that has refused.
	refusedRetry = time.Second
	// answerTimeout bounds how long serve may take to open a log.
	answerTimeout = 45 // seconds
)

const (
	exitFailure = 1
	exitUsage   = 2
)

// relay is the process for one container.
type relay struct {
	request  handover.Request
	socket   string
	takeover time.Duration
	carry    int // descriptor, -1 while there is none
	ready    bool
	refused  time.Time // when a serve first refused what another had taken
	unserved time.Time // since when no serve has taken the container; zero while one has
	buf      []byte
}

// Main runs the relay with the parameters of the URI, as alternating names and
// values, and returns its exit code. logplug is the program that works alone.
func Main(settings []string, logplug string) int {
	r := &relay{
		request:  handover.Request{ID: os.Getenv("CONTAINER_ID"), Namespace: os.Getenv("CONTAINER_NAMESPACE"), Settings: settings},
		socket:   handover.DefaultSocket(),
		takeover: defaultTakeover, carry: -1,
		buf: make([]byte, 1024),
	}
	if r.request.ID == "" {
		return fail(exitUsage, "containerd runs this program for a container, with --log-uri binary://...; see logplug containerd --help")
	}
	if s, ok := handover.Setting(settings, "socket"); ok {
		r.socket = s
	}
	if s, ok := handover.Setting(settings, "takeover"); ok {
		d, err := time.ParseDuration(s)
		if err != nil || d < 0 {
			return fail(exitUsage, "takeover "+strconv.Quote(s)+": want a duration, such as 30s")
		}
		r.takeover = d
	}
	// The end of the pipes is what ends the relay: the shim closes them first.
	signal.Ignore(syscall.SIGTERM)
	return r.run(logplug)
}

func fail(code int, text string) int {
	os.Stderr.WriteString("logplug-containerd: " + text + "\n")
	return code
}

// run hands the pipes over until they were read to their end.
func (r *relay) run(logplug string) int {
	for {
		outcome, text := r.handOver()
		switch outcome {
		case done:
			return 0
		case refused:
			if !r.ready {
				return fail(exitFailure, text)
			}
			if r.repeat() {
				continue
			}
		case lost:
			r.refused, r.unserved = time.Time{}, time.Time{} // that serve did take the container
			if r.await() {
				continue
			}
		case absent:
			if r.ready && r.await() {
				continue
			}
		}
		return r.alone(logplug)
	}
}

// repeat waits before asking a serve again that does not want a container which
// its predecessor took. It returns false if there is no use in that.
func (r *relay) repeat() bool {
	if r.refused.IsZero() {
		r.refused = time.Now()
	}
	time.Sleep(refusedRetry)
	return time.Since(r.refused) < r.takeover && !ended()
}

// alone makes this process a logplug that takes the pipes itself.
func (r *relay) alone(logplug string) int {
	env := os.Environ()
	if r.carry >= 0 {
		if _, err := unix.FcntlInt(uintptr(r.carry), unix.F_SETFD, 0); err == nil {
			env = append(env, EnvCarry+"="+strconv.Itoa(r.carry))
		}
	}
	if r.ready {
		env = append(env, EnvReady+"=1")
	}
	args := append([]string{logplug, "containerd", "--alone", "--"}, r.request.Settings...)
	err := syscall.Exec(logplug, args, env)
	return fail(exitFailure, "logplug serve is not there, and "+logplug+" cannot be run: "+err.Error())
}

// await waits until it is worth trying to reach serve again. It returns false if the
// container has waited for long enough, also for one that is there and never takes it.
func (r *relay) await() bool {
	if r.unserved.IsZero() {
		r.unserved = time.Now()
	}
	for {
		limit := r.takeover
		if ended() {
			limit = min(limit, endedTakeover)
		}
		if time.Since(r.unserved) >= limit {
			return false
		}
		if fd, err := handover.Dial(r.socket); err == nil {
			_ = unix.Close(fd)
			return true
		}
		time.Sleep(retry)
	}
}

// ended tells whether nobody can write to the container's pipes any more.
func ended() bool {
	fds := []unix.PollFd{{Fd: FDStdout}, {Fd: FDStderr}}
	if _, err := unix.Poll(fds, 0); err != nil {
		return false
	}
	return fds[0].Revents&unix.POLLHUP != 0 && fds[1].Revents&unix.POLLHUP != 0
}
