package host

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/logplug/logplug/host/internal/launch"
)

// AnyDriver is the key of Config.Sandbox for drivers that have no entry of their
// own.
const AnyDriver = "*"

// Sandbox confines the process of a driver. Its zero value takes away nothing but
// the gaining of privileges.
//
// What a system cannot enforce is left out with a warning in the log, or fails the
// start of the driver if Required is set. Most of it needs Linux. Drivers that the host
// attaches to are not confined.
type Sandbox struct {
	// User and Group are names or numbers. Without Group, it is the user's own,
	// with the supplementary groups that the user has. Another user than the
	// host's needs a host that runs as root. The driver's binary must be
	// one that this user can execute, and Config.SocketParent one that it can
	// search.
	User  string
	Group string

	// Rlimits bound resources of the process, see getrlimit(2). They hold from its
	// first instruction on.
	Rlimits map[Rlimit]uint64

	// MemoryLimit bounds the memory of the process in bytes; 0 means no bound. It
	// is enforced by a cgroup (version 2) of the process, where the host can
	// make one, and else by RLIMIT_DATA, under which a driver written in Go
	// needs about 128 MiB for a start. The driver's GOMEMLIMIT is
	// set to nine tenths, unless Env sets it. When a driver ends because of it,
	// the error says so, and the driver is started again as after any other
	// end.
	MemoryLimit int64
	// Cgroup is a directory in a cgroup2 file system, such as one that a service
	// manager has delegated, below which processes get their cgroups. With
	// it, MemoryLimit is enforced there or not at all. The default is the host's own
	// cgroup or the delegated one above.
	Cgroup string

	// AllowNewPrivs permits the process to gain privileges by executing
	// set-user-ID programs and the like. It is off by default, on Linux.
	AllowNewPrivs bool

	// WorkingDir is the process's working directory; the default is the host's.
	WorkingDir string

	// Env are further variables ("NAME=value") of the process's environment, in
	// addition to those of Config.Env.
	Env []string

	// ConfineWrites lets the process create, change and remove files in no other
	// place than the directory of its socket, /dev/null, the directories of its
	// loggers' Info.LogPath, which are created if need be, and WritePaths:
	// absolute paths of files, or of directories with all below. Files that
	// options of the driver name are not known to the host and belong in
	// WritePaths. A logger whose LogPath is elsewhere makes the host
	// replace the process: name a directory above all of them.
	//
	// It needs Linux with Landlock. Permissions, owners and times of files are
	// not covered by that.
	ConfineWrites bool
	WritePaths    []string

	// ConfineTCP lets the process connect to TCP ports in ConnectPorts, and listen
	// on TCP ports in ListenPorts, where 0 stands for one that the system
	// chooses, and no others. It needs Linux 6.7 or later. UDP, Multipath TCP and other protocols
	// are not covered: against a driver that is out to do harm, use a firewall
	// for its User.
	ConfineTCP   bool
	ConnectPorts []int
	ListenPorts  []int

	// Required makes the start of the driver fail where a part of this cannot
	// be enforced.
	Required bool
}

// Rlimit names a resource, as ulimits are named.
type Rlimit string

// The resources that can be bounded.
const (
	RlimitAddressSpace Rlimit = "as"     // bytes of address space
	RlimitData         Rlimit = "data"   // bytes of private memory
	RlimitOpenFiles    Rlimit = "nofile" // descriptors
	RlimitProcesses    Rlimit = "nproc"  // processes and threads of the user; does not bind root
	RlimitCPU          Rlimit = "cpu"    // seconds of processor time
	RlimitCore         Rlimit = "core"   // bytes of a core dump
	RlimitFileSize     Rlimit = "fsize"  // bytes of a file
)

// maxPort is the highest number of a TCP port.
const maxPort = 65535

// minMemory is the least that a MemoryLimit may be.
const minMemory = 1 << 20

func rlimitResources() map[Rlimit]launch.Resource {
	return map[Rlimit]launch.Resource{
		RlimitAddressSpace: launch.AddressSpace, RlimitData: launch.Data, RlimitOpenFiles: launch.OpenFiles,
		RlimitProcesses: launch.Processes, RlimitCPU: launch.CPU, RlimitCore: launch.Core, RlimitFileSize: launch.FileSize,
	}
}

// sandboxes are the resolved entries of Config.Sandbox.
type sandboxes map[string]*box

func newSandboxes(config map[string]Sandbox) (sandboxes, error) {
	all := make(sandboxes, len(config))
	for key, s := range config {
		b, err := newBox(key, &s)
		if err != nil {
			return nil, fmt.Errorf("host configuration: Sandbox[%q]: %w", key, err)
		}
		all[key] = b
	}
	return all, nil
}

// of returns the sandbox of a driver, or nil.
func (s sandboxes) of(driver string) *box {
	if b, ok := s[driver]; ok {
		return b
	}
	return s[AnyDriver]
}

// box is a Sandbox that was checked. It does not change.
type box struct {
	key  string // in Config.Sandbox, for errors
	base launch.Sandbox
	env  []string
}

func newBox(key string, s *Sandbox) (*box, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	u, identity, err := resolveUser(s.User, s.Group)
	if err != nil {
		return nil, err
	}
	b := &box{key: key, base: launch.Sandbox{
		User: u, NoNewPrivs: !s.AllowNewPrivs, Dir: s.WorkingDir, MemoryLimit: s.MemoryLimit, Cgroup: s.Cgroup,
		ConfineWrites: s.ConfineWrites, WritePaths: cleaned(s.WritePaths),
		ConfineTCP: s.ConfineTCP, ConnectPorts: ports16(s.ConnectPorts), BindPorts: ports16(s.ListenPorts),
		Required: s.Required,
	}}
	resources := rlimitResources()
	for _, r := range slices.Sorted(maps.Keys(s.Rlimits)) {
		b.base.Rlimits = append(b.base.Rlimits, launch.Rlimit{Resource: resources[r], Limit: s.Rlimits[r]})
	}
	b.env = identity
	if s.MemoryLimit > 0 {
		b.env = append(b.env, fmt.Sprintf("GOMEMLIMIT=%d", s.MemoryLimit/10*9))
	}
	b.env = append(b.env, s.Env...)
	return b, nil
}

// check finds mistakes.
func (s *Sandbox) check() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	known := rlimitResources()
	for r := range s.Rlimits {
		if _, ok := known[r]; !ok {
			wrong("Rlimits: there is no %q; there are %v", r, slices.Sorted(maps.Keys(known)))
		}
	}
	if s.MemoryLimit != 0 && s.MemoryLimit < minMemory {
		wrong("MemoryLimit is %d, must be 0 or at least %d bytes", s.MemoryLimit, minMemory)
	}
	for name, paths := range map[string][]string{"WorkingDir": nonEmpty(s.WorkingDir), "Cgroup": nonEmpty(s.Cgroup), "WritePaths": s.WritePaths} {
		for _, p := range paths {
			if !filepath.IsAbs(p) {
				wrong("%s: %q is not an absolute path", name, p)
			}
		}
	}
	for _, kv := range s.Env {
		if name, _, ok := strings.Cut(kv, "="); !ok || name == "" || strings.ContainsRune(kv, 0) {
			wrong("Env: %q is not of the form NAME=value", name)
		}
	}
	errs = append(errs, checkPorts("ConnectPorts", s.ConnectPorts, 1), checkPorts("ListenPorts", s.ListenPorts, 0))
	if !s.ConfineWrites && len(s.WritePaths) > 0 {
		wrong("WritePaths has no effect without ConfineWrites")
	}
	if !s.ConfineTCP && len(s.ConnectPorts)+len(s.ListenPorts) > 0 {
		wrong("ConnectPorts and ListenPorts have no effect without ConfineTCP")
	}
	return errors.Join(errs...)
}

func checkPorts(field string, ports []int, least int) error {
	for _, p := range ports {
		if p < least || p > maxPort {
			return fmt.Errorf("%s: %d is not a port, %d to %d", field, p, least, maxPort)
		}
	}
	return nil
}

func nonEmpty(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

func cleaned(paths []string) (clean []string) {
	for _, p := range paths {
		clean = append(clean, filepath.Clean(p))
	}
	return clean
}

func ports16(ports []int) (out []uint16) {
	for _, p := range ports {
		out = append(out, uint16(p))
	}
	return out
}
