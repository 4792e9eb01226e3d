package launch

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"time"
)

// limitPhrases are words with which runtimes report that they came upon a limit: Go,
// C and its library, C++, Rust, Python, Java.
var limitPhrases = map[Resource][]string{
	Data:         memoryPhrases,
	AddressSpace: memoryPhrases,
	CPU:          {"SIGXCPU", "CPU time limit exceeded"},
	FileSize:     {"SIGXFSZ", "file too large", "File too large", "File size limit exceeded"},
	OpenFiles:    {"too many open files", "Too many open files"},
	Processes:    {"failed to create new OS thread", "pthread_create failed", "esource temporarily unavailable"},
}

var memoryPhrases = []string{
	"out of memory", "annot allocate memory", "failed to reserve page summary memory", "pthread_create failed",
	"bad_alloc", "memory allocation of", "MemoryError", "OutOfMemoryError",
}

// limitLine tells whether a driver's line speaks of a limit.
func limitLine(line string) bool {
	for _, phrases := range limitPhrases {
		if says(line, phrases) {
			return true
		}
	}
	return false
}

func says(line string, phrases []string) bool {
	return slices.ContainsFunc(phrases, func(p string) bool { return strings.Contains(line, p) })
}

// struck says which limit of the sandbox a process has run into, whose last line
// about a limit is given; it is empty if there is none to be seen. It knows that
// of a cgroup, of which the kernel keeps account. What an rlimit causes is that a
// call fails, so that is concluded from what the process used, and what it said.
func (b *box) struck(oom bool, s *os.ProcessState, signal, telling string) string {
	if oom {
		return fmt.Sprintf("it reached its memory limit of %d bytes, which its cgroup enforces", b.MemoryLimit)
	}
	if s.Success() {
		return ""
	}
	for _, l := range b.limits() {
		if says(telling, limitPhrases[l.Resource]) || l.used(s, signal) {
			return fmt.Sprintf("it probably reached its limit of %s", l)
		}
	}
	return ""
}

// used tells whether the process ended at the limit, as far as the kernel knows.
func (l Rlimit) used(s *os.ProcessState, signal string) bool {
	switch l.Resource {
	case AddressSpace, Data:
		// A lack of memory makes a process end itself. Memory in use is less than
		// what is allocated.
		return signal != "SIGKILL" && signal != "SIGTERM" && peakMemory(s) >= int64(min(l.Limit/4*3, math.MaxInt64))
	case CPU:
		return signal == "SIGXCPU" || s.UserTime()+s.SystemTime() >= time.Duration(min(l.Limit, maxSeconds))*time.Second
	case FileSize:
		return signal == "SIGXFSZ"
	}
	return false
}

// maxSeconds is what a time.Duration can hold.
const maxSeconds = math.MaxInt64 / uint64(time.Second)
