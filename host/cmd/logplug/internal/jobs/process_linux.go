package jobs

import (
	"bytes"
	"fmt"
	"os"
)

// identity returns a text that differs between two processes that have the same
// number at different times: boot and start time, see proc(5). It is empty
// if there is no such process or it is dead.
func identity(pid int) string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	// The second field is the program's name in parentheses and may hold anything.
	f := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	const state, startTime = 0, 19 // fields 3 and 22
	if len(f) <= startTime || bytes.ContainsAny(f[state], "ZX") {
		return ""
	}
	return string(bytes.TrimSpace(boot)) + "/" + string(f[startTime])
}
