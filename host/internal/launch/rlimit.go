package launch

import "fmt"

// Resource names what an Rlimit bounds, as getrlimit(2) does.
type Resource string

// The resources that can be bounded.
const (
	AddressSpace Resource = "RLIMIT_AS"     // bytes of address space
	Data         Resource = "RLIMIT_DATA"   // bytes of private memory that can be written
	OpenFiles    Resource = "RLIMIT_NOFILE" // descriptors
	Processes    Resource = "RLIMIT_NPROC"  // processes and threads of the user
	CPU          Resource = "RLIMIT_CPU"    // seconds of processor time
	Core         Resource = "RLIMIT_CORE"   // bytes of a core dump
	FileSize     Resource = "RLIMIT_FSIZE"  // bytes of a file that is written
)

// Rlimit bounds one resource.
type Rlimit struct {
	Resource Resource
	Limit    uint64
}

func (l Rlimit) String() string { return fmt.Sprintf("%s %s", l.amount(), l.name()) }

func (l Rlimit) amount() string {
	switch l.Resource {
	case OpenFiles, Processes:
		return fmt.Sprint(l.Limit)
	case CPU:
		return fmt.Sprintf("%d s", l.Limit)
	default:
		return fmt.Sprintf("%d bytes", l.Limit)
	}
}

func (l Rlimit) name() string {
	what := map[Resource]string{
		AddressSpace: "of address space", Data: "of memory", OpenFiles: "open files", Processes: "processes",
		CPU: "of processor time", Core: "of core dump", FileSize: "of file size",
	}[l.Resource]
	return fmt.Sprintf("%s (%s)", what, l.Resource)
}
