package launch

import (
	"bytes"
	"errors"
	"fmt"
	"os"
)

// processIdentity returns a text that differs between two processes that have
// the same number at different times: boot and start time, see proc(5). It
// fails if there is no such process or it is dead.
func processIdentity(pid int) (string, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", err
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", err
	}
	// The second field is the program's name in parentheses and may hold anything.
	f := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	const state, startTime = 0, 19 // fields 3 and 22
	if len(f) <= startTime || len(f[state]) != 1 {
		return "", errors.New("/proc/PID/stat has an unknown format")
	}
	if s := f[state][0]; s == 'Z' || s == 'X' {
		return "", os.ErrProcessDone
	}
	return string(bytes.TrimSpace(boot)) + "/" + string(f[startTime]), nil
}
