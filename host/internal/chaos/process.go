//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const driverPrefix = "logplug-driver-"

// proc is a process that is a driver.
type proc struct {
	pid  int
	name string
}

// driversOf returns the drivers that the host with the given number runs.
func driversOf(host int) []proc {
	var found []proc
	for _, pid := range pids() {
		if parentOf(pid) != host {
			continue
		}
		if name, ok := driverName(pid); ok {
			found = append(found, proc{pid, name})
		}
	}
	return found
}

func pids() []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var all []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			all = append(all, pid)
		}
	}
	return all
}

// parentOf returns 0 if there is no such process.
func parentOf(pid int) int {
	text, err := os.ReadFile(procFile(pid, "stat"))
	if err != nil {
		return 0
	}
	// pid (name) state parent: the name may hold anything.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 2 {
		return 0
	}
	parent, _ := strconv.Atoi(fields[1])
	return parent
}

func procFile(pid int, name string) string {
	return filepath.Join("/proc", strconv.Itoa(pid), name)
}

// driverName returns false for a process that is about to become a driver.
func driverName(pid int) (string, bool) {
	text, err := os.ReadFile(procFile(pid, "cmdline"))
	if err != nil {
		return "", false
	}
	path, _, _ := bytes.Cut(text, []byte{0})
	return strings.CutPrefix(filepath.Base(string(path)), driverPrefix)
}

// send signals a driver of host, and nobody who has got its number meanwhile.
func (p proc) send(host int, sig unix.Signal) error {
	fd, err := unix.PidfdOpen(p.pid, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if parentOf(p.pid) != host {
		return unix.ESRCH
	}
	return unix.PidfdSendSignal(fd, sig, nil, 0)
}

// limitFiles bounds the size to which a process can write files, which is what a
// full disk looks like to it.
func limitFiles(pid int, limit uint64) error {
	return unix.Prlimit(pid, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: limit, Max: math.MaxUint64}, nil)
}

const noLimit = math.MaxUint64

// marked returns what runs with the given setting in its environment.
func marked(mark string) (found []string) {
	for _, pid := range pids() {
		env, err := os.ReadFile(procFile(pid, "environ"))
		if err != nil || !bytes.Contains(env, []byte(mark)) {
			continue
		}
		if gone(pid) {
			continue
		}
		cmdline, _ := os.ReadFile(procFile(pid, "cmdline"))
		found = append(found, fmt.Sprintf("%d (%s)", pid, bytes.ReplaceAll(cmdline, []byte{0}, []byte{' '})))
	}
	return found
}

// gone tells whether a process has ended, reaped or not.
func gone(pid int) bool {
	text, err := os.ReadFile(procFile(pid, "stat"))
	if errors.Is(err, os.ErrNotExist) {
		return true
	}
	rest := bytes.TrimSpace(text[bytes.LastIndexByte(text, ')')+1:])
	return len(rest) == 0 || rest[0] == 'Z' || rest[0] == 'X'
}
