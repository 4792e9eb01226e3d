package launch

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The kernel's interface is used directly here, see landlock(7): the common Go
// library restricts all threads of a process, which would be the host, and
// needs cgo for that in every program that embeds it.

// writeRights are what changes files, by the version of Landlock that knows it.
// Devices cannot be created even below paths that are granted.
var writeRights = []struct {
	abi    int
	rights uint64
}{
	{1, unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_REMOVE_DIR | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE |
		unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_MAKE_REG | unix.LANDLOCK_ACCESS_FS_MAKE_SOCK |
		unix.LANDLOCK_ACCESS_FS_MAKE_FIFO | unix.LANDLOCK_ACCESS_FS_MAKE_SYM},
	{2, unix.LANDLOCK_ACCESS_FS_REFER}, // renaming between directories, which the first version always denies
	{3, unix.LANDLOCK_ACCESS_FS_TRUNCATE},
}

const (
	// deviceRights are handled and granted to nobody.
	deviceRights = unix.LANDLOCK_ACCESS_FS_MAKE_CHAR | unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK
	// fileRights are those of writeRights that a file can have, rather than a directory.
	fileRights = unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE

	netABI   = 4 // the version that knows TCP
	scopeABI = 6 // the version that knows signals and abstract sockets

	// ruleNetPort is LANDLOCK_RULE_NET_PORT.
	ruleNetPort = 2
)

// netPortAttr is struct landlock_net_port_attr.
type netPortAttr struct {
	allowedAccess uint64
	port          uint64
}

// landlockABI returns the version of Landlock that the kernel has.
func landlockABI() (int, error) {
	v, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	switch {
	case errno == unix.ENOSYS:
		return 0, errors.New("the kernel has no Landlock")
	case errno == unix.EOPNOTSUPP:
		return 0, errors.New("Landlock is turned off on this system")
	case errno != 0:
		return 0, os.NewSyscallError("landlock_create_ruleset", errno)
	}
	return int(v), nil
}

// landlock restricts the calling thread and all processes that it starts.
func (b *box) landlock() error {
	abi, err := landlockABI()
	if err != nil {
		return b.gap("confined access", err)
	}
	attr, err := b.rulesetAttr(abi)
	if err != nil || attr == (unix.LandlockRulesetAttr{}) {
		return err
	}
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), rulesetSize(abi), 0)
	if errno != 0 {
		return fmt.Errorf("confine access: %w", os.NewSyscallError("landlock_create_ruleset", errno))
	}
	set := &ruleset{int(fd), attr}
	defer func() { _ = unix.Close(set.fd) }()
	if err := b.addRules(set); err != nil {
		return fmt.Errorf("confine access: %w", err)
	}
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, fd, 0, 0); errno != 0 {
		return fmt.Errorf("confine access: %w; without the superuser's rights that needs no_new_privs",
			os.NewSyscallError("landlock_restrict_self", errno))
	}
	return nil
}

// rulesetSize is how much of the attributes a kernel of that version knows.
func rulesetSize(abi int) uintptr {
	switch {
	case abi >= scopeABI:
		return 3 * 8
	case abi >= netABI:
		return 2 * 8
	default:
		return 8
	}
}

// rulesetAttr returns what is denied unless a rule allows it.
func (b *box) rulesetAttr(abi int) (attr unix.LandlockRulesetAttr, err error) {
	if b.ConfineWrites {
		attr.Handled_access_fs = deviceRights
		for _, r := range writeRights {
			if abi >= r.abi {
				attr.Handled_access_fs |= r.rights
			}
		}
		if last := writeRights[len(writeRights)-1].abi; abi < last {
			err = b.gap("confined truncation of files", fmt.Errorf("the kernel has version %d of Landlock, which needs %d", abi, last))
		}
	}
	if b.ConfineTCP && err == nil {
		if abi < netABI {
			err = b.gap("confined TCP ports", fmt.Errorf("the kernel has version %d of Landlock, which needs %d", abi, netABI))
		} else {
			attr.Handled_access_net = unix.LANDLOCK_ACCESS_NET_BIND_TCP | unix.LANDLOCK_ACCESS_NET_CONNECT_TCP
		}
	}
	if abi >= scopeABI {
		attr.Scoped = unix.LANDLOCK_SCOPE_SIGNAL // a driver has nobody to signal but its own children
	}
	return attr, err
}

// ruleset is what is about to be enforced.
type ruleset struct {
	fd   int
	attr unix.LandlockRulesetAttr
}

func (b *box) addRules(set *ruleset) error {
	if b.ConfineWrites {
		paths := append([]string{os.DevNull}, b.WritePaths...)
		if b.socketDir != "" {
			paths = append(paths, b.socketDir)
		}
		for _, p := range paths {
			if err := set.allowWrites(p); err != nil {
				return err
			}
		}
	}
	if set.attr.Handled_access_net == 0 {
		return nil
	}
	for _, port := range b.ConnectPorts {
		if err := set.allowPort(unix.LANDLOCK_ACCESS_NET_CONNECT_TCP, port); err != nil {
			return err
		}
	}
	for _, port := range b.BindPorts {
		if err := set.allowPort(unix.LANDLOCK_ACCESS_NET_BIND_TCP, port); err != nil {
			return err
		}
	}
	return nil
}

func (s *ruleset) allowWrites(path string) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("allow writing to %s: %w", path, err)
	}
	defer func() { _ = unix.Close(fd) }()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fmt.Errorf("allow writing to %s: %w", path, err)
	}
	rights := s.attr.Handled_access_fs &^ deviceRights
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		rights &= fileRights
	}
	rule := unix.LandlockPathBeneathAttr{Allowed_access: rights, Parent_fd: int32(fd)}
	if err := s.add(unix.LANDLOCK_RULE_PATH_BENEATH, unsafe.Pointer(&rule)); err != nil {
		return fmt.Errorf("allow writing to %s: %w", path, err)
	}
	return nil
}

func (s *ruleset) allowPort(access uint64, port uint16) error {
	rule := netPortAttr{access, uint64(port)}
	if err := s.add(ruleNetPort, unsafe.Pointer(&rule)); err != nil {
		return fmt.Errorf("allow TCP port %d: %w", port, err)
	}
	return nil
}

func (s *ruleset) add(kind uintptr, rule unsafe.Pointer) error {
	if _, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(s.fd), kind, uintptr(rule), 0, 0, 0); errno != 0 {
		return os.NewSyscallError("landlock_add_rule", errno)
	}
	return nil
}
