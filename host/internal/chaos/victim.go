//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"
)

// victim is a host process as the conductor sees it.
type victim struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	reports chan report // all but samples; closed at the end of the process's output
	done    chan struct{}
	err     error // of the process's end, once done is closed

	mu       sync.Mutex
	samples  []sample
	dropped  map[string]uint64
	problems []string
}

// startVictim runs this program again as a host of the lane. Its log lines go to
// a file.
func startVictim(cfg lifeConfig, logPath string) (*victim, error) {
	text, err := json.Marshal(cfg)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	logFile, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer logFile.Close()
	v := &victim{cmd: exec.Command(self), reports: make(chan report, 16), done: make(chan struct{}), dropped: make(map[string]uint64)}
	v.cmd.Env = append(os.Environ(), envLife+"="+string(text), cfg.Mark)
	v.cmd.Stderr = logFile
	if v.in, err = v.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := v.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := v.cmd.Start(); err != nil {
		return nil, err
	}
	go v.listen(out)
	return v, nil
}

func (v *victim) pid() int { return v.cmd.Process.Pid }

// listen takes reports until the process ends.
func (v *victim) listen(out io.Reader) {
	defer close(v.done)
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r report
		if json.Unmarshal(lines.Bytes(), &r) != nil {
			continue // cut off by SIGKILL
		}
		switch r.Say {
		case saySample:
			v.keep(r)
		case sayBroken:
			v.mu.Lock()
			v.problems = append(v.problems, r.Problems...)
			v.mu.Unlock()
		default:
			v.reports <- r // the conductor reads all of them, or there is room
		}
	}
	close(v.reports)
	v.err = v.cmd.Wait()
}

func (v *victim) keep(r report) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if r.Sample != nil {
		v.samples = append(v.samples, *r.Sample)
	}
	for name, n := range r.Dropped {
		v.dropped[name] = max(v.dropped[name], n)
	}
}

var errEnded = errors.New("the host has ended by itself")

// tell sends a command.
func (v *victim) tell(c command) error {
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if _, err := v.in.Write(append(text, '\n')); err != nil {
		return fmt.Errorf("%w: %w", errEnded, err)
	}
	return nil
}

// await waits for the report that says what, and passes over others.
func (v *victim) await(what string, limit time.Duration) (report, error) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		select {
		case r, ok := <-v.reports:
			if !ok {
				return report{}, errEnded
			}
			if r.Say == what {
				return r, nil
			}
		case <-timer.C:
			return report{}, fmt.Errorf("the host does not say %q within %v", what, limit)
		}
	}
}

// kill ends the process at once.
func (v *victim) kill() error {
	err := v.cmd.Process.Kill()
	<-v.done
	_ = v.in.Close()
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// wasKilled tells whether a process that has ended was killed.
func (v *victim) wasKilled() bool {
	status, ok := v.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// quit lets the process end in good order.
func (v *victim) quit(limit time.Duration) error {
	if err := v.tell(command{Do: doQuit}); err != nil {
		return err
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-v.done:
		_ = v.in.Close()
		return v.err
	case <-timer.C:
		return fmt.Errorf("the host does not end within %v", limit)
	}
}

// sockets returns what is left in a directory for sockets. A host that was killed
// before it could lock its own directory leaves that empty, or with a lock that has no
// name yet.
func sockets(dir string) []string {
	left, _ := filepath.Glob(filepath.Join(dir, "*", "*"))
	return slices.DeleteFunc(left, func(path string) bool { return filepath.Base(path) == "lock.new" })
}
