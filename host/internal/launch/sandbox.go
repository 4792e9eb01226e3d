package launch

import (
	"fmt"

	"github.com/hashicorp/go-hclog"
)

// Sandbox confines a driver's process. The zero value leaves it as free as its
// host.
//
// A part that the system cannot enforce is left out with a line in the log, or
// fails the start if Required is set. User, Dir and what is wrong in itself
// always fail it.
type Sandbox struct {
	// User is whom the process runs as; nil means the host's user.
	User *User
	// Rlimits bound the process's resources. Linux only.
	Rlimits []Rlimit
	// NoNewPrivs keeps the process, and all that it executes, from gaining
	// privileges, as by set-user-ID programs. Linux only.
	NoNewPrivs bool
	// Dir is the working directory; empty means the host's.
	Dir string
	// MemoryLimit bounds the memory of the process, in bytes, 0 for no bound: by
	// a cgroup of its own if the host can make one, which counts what the
	// process and its children use, and else by RLIMIT_DATA, which counts what
	// each of them allocates. (RLIMIT_AS counts what is only reserved too, which
	// with Go's runtime is most of a gigabyte.) Linux only.
	MemoryLimit int64
	// Cgroup is the directory, in a cgroup2 file system, below which cgroups are
	// made. Empty means the host's own, or the one above if that is delegated.
	Cgroup string
	// ConfineWrites lets the process write only to the directory of its socket,
	// to /dev/null, and to WritePaths: existing files, or directories with all
	// below. Linux with Landlock only.
	ConfineWrites bool
	WritePaths    []string
	// ConfineTCP lets the process connect to and listen on the given TCP ports
	// only. Linux with the fourth version of Landlock only. Other protocols, UDP
	// and Multipath TCP among them, are not confined.
	ConfineTCP   bool
	ConnectPorts []uint16
	BindPorts    []uint16
	// Required makes the start fail if a part of this cannot be enforced.
	Required bool
}

// User is the identity of a process.
type User struct {
	// Name is for errors.
	Name     string
	UID, GID uint32
	// Groups are the supplementary groups.
	Groups []uint32
}

// confines tells whether the kernel is to judge what the process opens.
func (s *Sandbox) confines() bool { return s.ConfineWrites || s.ConfineTCP }

// SandboxError reports a part of a Sandbox that cannot be enforced.
type SandboxError struct {
	// What names the part.
	What string
	// Err says why.
	Err error
}

func (e *SandboxError) Error() string {
	return fmt.Sprintf("its sandbox cannot be enforced, %s: %v; mend that, or do not require the sandbox", e.What, e.Err)
}

func (e *SandboxError) Unwrap() error { return e.Err }

// box is the sandbox of one process.
type box struct {
	Sandbox
	log       hclog.Logger
	socketDir string  // where the process creates its socket; may be empty
	cgroup    *cgroup // nil without one
}

// gap deals with a part that cannot be enforced.
func (b *box) gap(what string, err error) error {
	if b.Required {
		return &SandboxError{What: what, Err: err}
	}
	b.log.Warn("a part of the driver's sandbox is left out", "part", what, "reason", err)
	return nil
}

// limits returns all rlimits; without a cgroup the memory's is one of them.
func (b *box) limits() []Rlimit {
	all := b.Rlimits[:len(b.Rlimits):len(b.Rlimits)]
	if b.MemoryLimit > 0 && b.cgroup == nil {
		all = append(all, Rlimit{Data, uint64(b.MemoryLimit)})
	}
	return all
}
