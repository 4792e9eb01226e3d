package launch

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// cgroupPrefix begins the names of the cgroups that hosts make; the host's
	// process number and some digits follow.
	cgroupPrefix = "logplug-"
	// removeWait is how long killed processes may keep a cgroup from being removed,
	// and removePoll how often that is tried.
	removeWait = 2 * time.Second
	removePoll = 10 * time.Millisecond
)

// cgroup is a control group of version 2 for one process and its descendants.
type cgroup struct {
	path string
	dir  *os.File
}

// makeCgroup makes a cgroup for the limit of memory, if there is one. Without one
// the limit is left to an rlimit.
func (b *box) makeCgroup() error {
	if b.MemoryLimit <= 0 {
		return nil
	}
	parent, err := cgroupParent(b.Cgroup)
	if err == nil {
		b.cgroup, err = newCgroup(parent, b.MemoryLimit)
	}
	switch {
	case err == nil:
		return nil
	case b.Cgroup != "":
		return fmt.Errorf("limit memory by a cgroup below %s: %w", b.Cgroup, err)
	}
	b.log.Debug("memory is limited by RLIMIT_DATA, not by a cgroup", "reason", err)
	return nil
}

// cgroupParent returns the directory below which a cgroup with a limit of memory
// can be made: the given one, or one that belongs to this process.
func cgroupParent(given string) (string, error) {
	if given != "" {
		return given, enableMemory(given)
	}
	own, err := ownCgroup()
	if err != nil {
		return "", err
	}
	ownErr := enableMemory(own)
	if ownErr == nil {
		return own, nil
	}
	// Only the root of the tree can hold processes and have cgroups with limits;
	// elsewhere the way is to live beside one's own cgroup, where that is wanted.
	up := filepath.Dir(own)
	if !delegated(up) {
		return "", fmt.Errorf("below the own cgroup: %w; and %s is not delegated to this process", ownErr, up)
	}
	return up, enableMemory(up)
}

// ownCgroup returns the directory of this process's cgroup.
func ownCgroup() (string, error) {
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		path, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "0::")
		if !ok {
			continue
		}
		for _, mount := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
			var st unix.Statfs_t
			if unix.Statfs(mount, &st) == nil && st.Type == unix.CGROUP2_SUPER_MAGIC {
				return filepath.Join(mount, path), nil
			}
		}
	}
	return "", errors.New("there is no cgroup2 file system")
}

// enableMemory makes sure that cgroups below parent can limit memory.
func enableMemory(parent string) error {
	control := filepath.Join(parent, "cgroup.subtree_control")
	text, err := os.ReadFile(control)
	if err != nil {
		return err
	}
	if hasField(text, "memory") {
		return nil
	}
	available, err := os.ReadFile(filepath.Join(parent, "cgroup.controllers"))
	if err != nil {
		return err
	}
	if !hasField(available, "memory") {
		return fmt.Errorf("%s has no memory controller", parent)
	}
	return os.WriteFile(control, []byte("+memory"), 0)
}

func hasField(text []byte, field string) bool {
	for f := range bytes.FieldsSeq(text) {
		if string(f) == field {
			return true
		}
	}
	return false
}

// delegated tells whether the service manager has left a cgroup to its processes,
// see Delegate= in systemd.resource-control(5).
func delegated(dir string) bool {
	var v [8]byte
	for _, attr := range []string{"user.delegate", "trusted.delegate"} {
		if n, err := unix.Getxattr(dir, attr, v[:]); err == nil && string(v[:n]) == "1" {
			return true
		}
	}
	return false
}

// newCgroup makes a cgroup that holds at most limit bytes of memory.
func newCgroup(parent string, limit int64) (*cgroup, error) {
	sweepCgroups(parent)
	path, err := os.MkdirTemp(parent, fmt.Sprintf("%s%d-", cgroupPrefix, os.Getpid()))
	if err != nil {
		return nil, err
	}
	c := &cgroup{path: path}
	if err := c.limitMemory(limit); err != nil {
		c.close()
		return nil, err
	}
	dir, err := os.Open(path)
	if err != nil {
		c.close()
		return nil, err
	}
	c.dir = dir
	return c, nil
}

func (c *cgroup) limitMemory(limit int64) error {
	if err := c.set("memory.max", strconv.FormatInt(limit, 10)); err != nil {
		return err
	}
	// Without swap there is nothing else to limit, and on old kernels no group to
	// kill as a whole.
	for name, value := range map[string]string{"memory.swap.max": "0", "memory.oom.group": "1"} {
		if err := c.set(name, value); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (c *cgroup) set(name, value string) error {
	f, err := os.OpenFile(filepath.Join(c.path, name), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

// oomKilled tells whether the kernel has killed something for its use of memory.
func (c *cgroup) oomKilled() bool {
	if c == nil {
		return false
	}
	text, err := os.ReadFile(filepath.Join(c.path, "memory.events"))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(text)) {
		if n, ok := strings.CutPrefix(line, "oom_kill "); ok {
			return strings.TrimSpace(n) != "0"
		}
	}
	return false
}

// kill ends all processes of the cgroup, also those that have left the process
// group.
func (c *cgroup) kill() {
	if c != nil {
		_ = c.set("cgroup.kill", "1") // since Linux 5.14
	}
}

// close removes the cgroup, for which it waits until its processes are gone.
func (c *cgroup) close() {
	if c == nil {
		return
	}
	if c.dir != nil {
		_ = c.dir.Close()
	}
	for limit := time.Now().Add(removeWait); ; time.Sleep(removePoll) {
		err := syscall.Rmdir(c.path)
		if !errors.Is(err, syscall.EBUSY) || time.Now().After(limit) {
			return // what is left is swept by a later host
		}
	}
}

// sweepCgroups removes empty cgroups of hosts that are gone.
func sweepCgroups(parent string) {
	entries, err := os.ReadDir(parent)
	if err != nil {
		return
	}
	for _, e := range entries {
		rest, ok := strings.CutPrefix(e.Name(), cgroupPrefix)
		if !ok || !e.IsDir() {
			continue
		}
		number, _, _ := strings.Cut(rest, "-")
		if pid, err := strconv.Atoi(number); err == nil && pid > 0 && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			_ = syscall.Rmdir(filepath.Join(parent, e.Name()))
		}
	}
}

// peakMemory returns how many bytes of memory a process that ended had in use
// at most.
func peakMemory(s *os.ProcessState) int64 {
	if u, ok := s.SysUsage().(*syscall.Rusage); ok {
		return int64(u.Maxrss) << 10
	}
	return 0
}
