package jobs

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// procDir is where the kernel tells of processes, see proc(5).
var procDir = "/proc"

// identity returns a text that differs between two processes that have the same
// number at different times: boot and start time. It is empty if there is no such
// process or it is dead.
func identity(pid int) (string, error) {
	stat, err := os.ReadFile(filepath.Join(procDir, strconv.Itoa(pid), "stat"))
	// One that exists is only hidden.
	if (errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH)) && !exists(pid) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("look at process %d: %w", pid, err)
	}
	// The second field is the program's name in parentheses and may hold anything.
	f := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	const state, startTime = 0, 19 // fields 3 and 22
	if len(f) <= startTime {
		return "", fmt.Errorf("look at process %d: its state is %q", pid, stat)
	}
	if bytes.ContainsAny(f[state], "ZX") {
		return "", nil
	}
	boot, err := os.ReadFile(filepath.Join(procDir, "sys/kernel/random/boot_id"))
	if err != nil {
		return "", fmt.Errorf("look which boot this is: %w", err)
	}
	return string(bytes.TrimSpace(boot)) + "/" + string(f[startTime]), nil
}
