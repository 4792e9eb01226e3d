package launch

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// imageFD is the number that the copy in memory gets in the new process: the
// first after the standard ones. It stays open, because a script's
// interpreter opens it again.
const imageFD = 3

// seals keep the bytes of a memfd, and its mode, as they are.
const seals = unix.F_SEAL_WRITE | unix.F_SEAL_GROW | unix.F_SEAL_SHRINK | unix.F_SEAL_SEAL

// sealExec is F_SEAL_EXEC, which kernels before 6.3 do not know.
const sealExec = 0x20

// errNoMemfd means that no program can be executed from memory here.
var errNoMemfd = errors.New("a program cannot be executed from memory here")

func copyImage(path string, src *os.File, scratch string, verify func([sha256.Size]byte) error) (*image, error) {
	f, err := memfd(filepath.Base(path))
	if err != nil {
		return privateCopy(src, scratch, verify)
	}
	defer func() { _ = f.Close() }()
	if err := copyHashed(f, src, verify); err != nil {
		return nil, err
	}
	if err := seal(f); err != nil {
		return nil, err
	}
	// A file that is open for writing cannot be executed.
	ro, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
	if err != nil {
		return nil, fmt.Errorf("open the program's copy: %w", err)
	}
	return &image{path: fmt.Sprintf("/proc/self/fd/%d", imageFD), file: ro}, nil
}

// memfd makes an anonymous file that can be executed.
func memfd(name string) (*os.File, error) {
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		return nil, errNoMemfd
	}
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate(name, flags|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) { // before Linux 6.3, and all are executable there
		fd, err = unix.MemfdCreate(name, flags)
	}
	if err != nil {
		return nil, errNoMemfd
	}
	return os.NewFile(uintptr(fd), "memfd:"+name), nil
}

func seal(f *os.File) error {
	_, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, seals|sealExec)
	if errors.Is(err, unix.EINVAL) {
		_, err = unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, seals)
	}
	if err != nil {
		return fmt.Errorf("seal the program's copy: %w", os.NewSyscallError("fcntl", err))
	}
	return nil
}

func copyPath(dir string) string { return filepath.Join(dir, "program") }
