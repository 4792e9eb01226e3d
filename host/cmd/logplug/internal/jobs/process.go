package jobs

import "os"

// alive tells whether the process pid is the one that had the identity start.
func alive(pid int, start string) bool {
	if pid <= 0 {
		return false
	}
	if pid == os.Getpid() {
		return start == identity(pid)
	}
	if !exists(pid) {
		return false
	}
	return start == "" || start == identity(pid)
}
