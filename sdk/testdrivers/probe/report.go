package main

import (
	"fmt"
	"os"
	"strconv"
	"syscall"
)

// report is what the driver found out.
type report struct {
	Version    string            `json:"version"`
	PID        int               `json:"pid"`
	UID        int               `json:"uid"`
	GID        int               `json:"gid"`
	Groups     []int             `json:"groups"`
	Dir        string            `json:"dir"`
	Args       []string          `json:"args"`
	Executable string            `json:"executable"` // as the system tells it
	Env        []string          `json:"env"`
	Status     string            `json:"status"`  // /proc/self/status
	Limits     string            `json:"limits"`  // /proc/self/limits
	Cgroup     string            `json:"cgroup"`  // /proc/self/cgroup
	Results    map[string]string `json:"results"` // of each attempt: its error, or empty

	hold [][]byte
	spun uint64
}

func newReport() *report {
	r := &report{
		Version: version, PID: os.Getpid(), UID: os.Getuid(), GID: os.Getgid(), Args: os.Args, Env: os.Environ(),
		Status: text("/proc/self/status"), Limits: text("/proc/self/limits"), Cgroup: text("/proc/self/cgroup"),
		Results: map[string]string{},
	}
	r.Groups, _ = os.Getgroups()
	r.Dir, _ = os.Getwd()
	r.Executable, _ = os.Readlink("/proc/self/exe")
	return r
}

// text returns what a file holds; nothing where there is no such file.
func text(path string) string {
	b, _ := os.ReadFile(path)
	return string(b)
}

func (r *report) try(what string, err error) {
	r.Results[what] = ""
	if err != nil {
		r.Results[what] = err.Error()
	}
}

// lookFor sends no signal, but is judged as if it did.
func lookFor(pid string) error {
	n, err := strconv.Atoi(pid)
	if err != nil {
		return err
	}
	p, err := os.FindProcess(n)
	if err != nil {
		return fmt.Errorf("find process %d: %w", n, err)
	}
	return p.Signal(syscall.Signal(0))
}
