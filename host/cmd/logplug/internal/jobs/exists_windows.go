package jobs

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// exists tells whether there is a process pid, of whichever user.
func exists(pid int) bool {
	p, err := os.FindProcess(pid)
	if err != nil {
		return !errors.Is(err, windows.ERROR_INVALID_PARAMETER) // no such number
	}
	p.Release()
	return true
}
