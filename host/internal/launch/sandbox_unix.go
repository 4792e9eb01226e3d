//go:build unix && !linux

package launch

import (
	"errors"
	"os/exec"
	"syscall"
)

var errLinuxOnly = errors.New("this system cannot do that")

func (b *box) onThread(f func()) { f() }

func (b *box) enter() error { return b.unsupported() }

func (b *box) prepare(cmd *exec.Cmd, _ bool) {
	prepare(cmd)
	cmd.Dir = b.Dir
	if u := b.User; u != nil {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: u.UID, Gid: u.GID, Groups: u.Groups}
	}
}

func (b *box) needsStop() bool { return false }

func (b *box) admit(int, bool) error { return nil }
